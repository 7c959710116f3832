/** Programs for developers start processes and make networks: however they end, nothing of these is left. */
import { constants } from 'node:os';
import process from 'node:process';

const tasks = new Set<() => void>();

function runTasks(): void {
  for (const task of tasks) task();
}

/** @param task is done when this process ends, also by a signal (`endCleanly`); it may not wait for anything @returns takes it back */
export function atEnd(task: () => void): () => void {
  if (tasks.size === 0) process.on('exit', runTasks);
  tasks.add(task);
  return () => {
    tasks.delete(task);
    if (tasks.size === 0) process.off('exit', runTasks);
  };
}

/** Ctrl-C, `kill`, a terminal that is closed, and a reader of the output that has seen enough (`| head`) are ends like others. */
export function endCleanly(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(128 + constants.signals[signal]));
  process.stdout.on('error', () => process.exit(128 + constants.signals.SIGPIPE));
}
