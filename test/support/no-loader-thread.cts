/**
 * Loaded before tap's own hooks, see .taprc. With Node before 24.13 those pass each module through a thread of their own, only to note its
 * name for `tap --changed`: a third of a second of processor time for each test file, of which there are hundreds. What is covered does not
 * depend on it.
 */
import nodeModule = require('node:module');

const register: (specifier: string | URL, ...rest: never[]) => void = nodeModule.register;
Object.assign(nodeModule, {
  register(specifier: string | URL, ...rest: never[]): void {
    if (!String(specifier).includes('/@tapjs/')) register(specifier, ...rest);
  },
});
