/** What a person can try on gateways that stay: arguments of `sprawl-edge`. */
import type { Demo } from './demo.js';
import type { SiteGateway } from './site.js';

/** One that does not end by itself is last. */
export function commandsFor({ gateways }: Demo): readonly (readonly string[])[] {
  const config = ({ configFile }: SiteGateway): string[] => ['--config', configFile];
  const port = ({ options }: SiteGateway): string[] => ['-p', `${options.mqttPort}`];
  const [plant, depot] = [gateways.get('plant'), gateways.get('depot')] as [SiteGateway, SiteGateway];
  return [
    ...[...gateways.values()].map((gateway) => ['status', ...config(gateway)]),
    ['peers', ...config(plant)],
    ['links', ...config(depot)],
    ['archive', 'status', ...config(plant)],
    ['archive', 'ls', ...config(plant)],
    ['archive', 'cat', ...config(plant), '-t', 'site/depot/#', '--limit', '3'],
    ['archive', 'verify', '--deep', ...config(plant)],
    ['pub', ...port(plant), '-t', 'site/plant/by-hand/temperature', '-m', '21.5', '-q', '1'],
    ['sub', ...port(depot), '-t', 'site/#', '-v'],
  ];
}
