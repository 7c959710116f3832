/**
 * Loaded before tap, see .taprc: takes out what costs much time, and of which nothing is used here.
 *
 * - With Node before 24.13 each module passes through a thread of its own, only to note its name for `tap --changed`: a third of a second for each
 *   test file, of which there are hundreds. What is covered does not depend on it.
 * - Each promise and each timer is noted, so that an error that nobody catches is told of the test that began it: a quarter of the time of
 *   the simulation of crashes. Without it such an error ends the file, which fails with it.
 * - Counting what is covered takes a fifth of the time of a simulation. Simulations are to find what nobody thought of, chaos and demo run
 *   other processes: what counts as covered is what tests run that say for one place what has to come out of it.
 */
import asyncHooks = require('node:async_hooks');
import nodeModule = require('node:module');

const NOT_COUNTING = /[/\\]test[/\\](?:bench|chaos|demo|deploy|docs|fuzz|history|sim)[/\\]/;
if (NOT_COUNTING.test(process.argv[1] ?? '')) process.env['_TAPJS_PROCESSINFO_COVERAGE_'] = '0';

const register: (specifier: string | URL, ...rest: never[]) => void = nodeModule.register;
Object.assign(nodeModule, {
  register(specifier: string | URL, ...rest: never[]): void {
    if (!String(specifier).includes('/@tapjs/')) register(specifier, ...rest);
  },
});

const { createHook } = asyncHooks;
Object.assign(asyncHooks, {
  createHook(callbacks: asyncHooks.HookCallbacks): asyncHooks.AsyncHook {
    const isDomain = new Error('who asks').stack?.includes('/async-hook-domain/') === true;
    return createHook(isDomain ? {} : callbacks);
  },
});
