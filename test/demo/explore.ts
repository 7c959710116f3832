/** What a person can try on gateways that stay: arguments of `sprawl-edge`. */
import type { Demo } from './demo.js';
import type { SiteGateway } from './site.js';

/** One that does not end by itself is last. */
export function commandsFor({ gateways }: Demo): readonly (readonly string[])[] {
  const url = ({ options }: SiteGateway): string[] => ['--url', `http://127.0.0.1:${options.httpPort}`];
  const port = ({ options }: SiteGateway): string[] => ['-p', `${options.mqttPort}`];
  const [plant, depot] = [gateways.get('plant'), gateways.get('depot')] as [SiteGateway, SiteGateway];
  const config = ['--config', plant.configFile];
  return [
    ...[...gateways.values()].map((gateway) => ['status', ...url(gateway)]),
    ['peers', ...url(plant)],
    ['links', ...url(depot)],
    ['archive', 'status', ...url(plant)],
    ['archive', 'ls', ...config],
    ['archive', 'cat', ...config, '-t', 'site/depot/#', '--limit', '3'],
    ['archive', 'verify', '--deep', ...config],
    ['pub', ...port(plant), '-t', 'site/plant/by-hand/temperature', '-m', '21.5', '-q', '1'],
    ['sub', ...port(depot), '-t', 'site/#', '-v'],
  ];
}
