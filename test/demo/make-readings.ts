/** Writes `readings.csv`. */
import { writeFileSync } from 'node:fs';
import { FILE, make } from './readings.js';

writeFileSync(FILE, make());
