/**
 * The data set of the demo: what three hundred sensors of three sites measure within half a minute. It is made up, by rules that a person can
 * check (`make` writes `readings.csv`, the same with each run), since nobody's measurements come with a licence for everybody.
 */
import { readFileSync } from 'node:fs';
import { Random } from '../sim/random.js';

export const SITES = ['plant', 'depot', 'office'] as const;
export type Site = (typeof SITES)[number];

/** One line of `readings.csv`. */
export interface Reading {
  readonly site: Site;
  /** Of its site. */
  readonly device: string;
  readonly quantity: string;
  /** Since the first reading. */
  readonly second: number;
  readonly value: number;
  readonly unit: string;
}

interface Quantity {
  readonly name: string;
  readonly unit: string;
  /** Where values begin, how far devices are apart, and how far one goes within a second. */
  readonly level: number;
  readonly spread: number;
  readonly step: number;
  readonly digits: number;
}

export const FILE = new URL('../../../test/demo/readings.csv', import.meta.url);
const HEADER = 'site,device,quantity,second,value,unit';
const DEVICES = 100;
const SECONDS = 30;
const SEED = 1;

/** Machines, cold stores, rooms. */
const QUANTITIES: Readonly<Record<Site, readonly Quantity[]>> = {
  plant: [
    { name: 'temperature', unit: 'C', level: 68, spread: 12, step: 0.4, digits: 1 },
    { name: 'vibration', unit: 'mm/s', level: 2.2, spread: 1.1, step: 0.15, digits: 2 },
    { name: 'power', unit: 'kW', level: 11, spread: 6, step: 0.5, digits: 2 },
  ],
  depot: [
    { name: 'temperature', unit: 'C', level: -19, spread: 3, step: 0.1, digits: 1 },
    { name: 'humidity', unit: '%', level: 71, spread: 9, step: 0.3, digits: 1 },
    { name: 'battery', unit: 'V', level: 3.3, spread: 0.2, step: 0.005, digits: 3 },
  ],
  office: [
    { name: 'temperature', unit: 'C', level: 21.5, spread: 1.5, step: 0.05, digits: 1 },
    { name: 'co2', unit: 'ppm', level: 620, spread: 180, step: 8, digits: 0 },
    { name: 'light', unit: 'lx', level: 410, spread: 150, step: 12, digits: 0 },
  ],
};

/** The text of `readings.csv`: each sensor starts somewhere around the level of its quantity and walks from there. */
export function make(): string {
  const lines = [HEADER];
  for (const site of SITES) {
    for (let n = 0; n < DEVICES; n++) {
      const device = `${site}-${String(n + 1).padStart(3, '0')}`;
      const random = new Random(SEED, device);
      const { name, unit, level, spread, step, digits } = QUANTITIES[site][n % 3] as Quantity;
      let value = level + spread * (2 * random.float() - 1);
      for (let second = 0; second < SECONDS; second++) {
        lines.push([site, device, name, second, value.toFixed(digits), unit].join(','));
        value += step * (2 * random.float() - 1);
      }
    }
  }
  return `${lines.join('\n')}\n`;
}

/** What is bundled, in the order of its lines. @throws Error where a line is none */
export function readReadings(text = readFileSync(FILE, 'utf8')): Reading[] {
  const [header, ...lines] = text.trimEnd().split('\n');
  if (header !== HEADER) throw new Error(`readings.csv begins with ${header}, and not with ${HEADER}`);
  return lines.map((line, index) => {
    const [site, device = '', quantity = '', second, value, unit = ''] = line.split(',');
    const reading = { device, quantity, second: Number(second), value: Number(value), unit };
    const known = SITES.find((one) => one === site);
    if (known === undefined || unit === '' || Number.isNaN(reading.second + reading.value))
      throw new Error(`line ${index + 2} of readings.csv is no reading: ${line}`);
    return { site: known, ...reading };
  });
}
