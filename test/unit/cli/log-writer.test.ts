import t from 'tap';
import type { LogLevel } from '../../../lib/contracts/logger.js';
import { createLogWriter, type LogFormat } from '../../../lib/telemetry/log-writer.js';

interface Due {
  readonly at: number;
  readonly fire: () => void;
}

class Bench {
  now = 0;
  readonly lines: string[] = [];
  readonly due: Due[] = [];

  advance(ms: number): void {
    this.now += ms;
    for (const timer of this.due.splice(0)) {
      if (timer.at <= this.now) timer.fire();
      else this.due.push(timer);
    }
  }

  logger(format: LogFormat = 'text', level: LogLevel = 'info', burstMaxCount = 3) {
    const timers = {
      after: (delayMs: number, fire: () => void) => {
        this.due.push({ at: this.now + delayMs, fire });
        return { cancel: () => undefined };
      },
    };
    const clock = { now: () => this.now, wall: () => this.now };
    return createLogWriter({
      level,
      format,
      burstMaxCount,
      clock,
      timers,
      write: (line) => this.lines.push(line),
    });
  }
}

t.test('text lines have time, level, message and fields', async (t) => {
  const bench = new Bench();
  bench.logger().info('listening', {
    host: '127.0.0.1',
    port: 1883,
    tls: false,
    name: undefined,
    none: null,
    words: 'a b',
  });
  t.strictSame(bench.lines, [
    '1970-01-01T00:00:00.000Z INFO  listening host=127.0.0.1 port=1883 tls=false none=null words="a b"\n',
  ]);
});

t.test('JSON lines have the same, and fields cannot replace time, level and message', async (t) => {
  const bench = new Bench();
  bench.logger('json').warn('slow', { level: 5, client: 'c' });
  t.strictSame(JSON.parse(bench.lines[0] ?? ''), {
    time: '1970-01-01T00:00:00.000Z',
    level: 'warn',
    message: 'slow',
    level_: 5,
    client: 'c',
  });
});

t.test('lines below the level are not written, and silent writes nothing', async (t) => {
  const bench = new Bench();
  const logger = bench.logger('text', 'warn');
  for (const level of ['trace', 'debug', 'info', 'warn', 'error'] as const) logger[level](level);
  t.strictSame(
    bench.lines.map((line) => line.split(' ')[1]),
    ['WARN', 'ERROR'],
  );
  bench.logger('text', 'silent').error('x');
  t.equal(bench.lines.length, 2);
});

t.test('a child adds its fields to each line, and lines may override them', async (t) => {
  const bench = new Bench();
  bench.logger().child({ client: 'c', n: 1 }).child({ m: 2 }).info('x', { n: 3 });
  t.match(bench.lines[0], / x client=c n=3 m=2\n$/);
});

t.test('no value forges a line, a field or a terminal sequence', async (t) => {
  const evil = 'a\n2026-01-01T00:00:00.000Z ERROR forged\r\u001b[2J\u0085\u2028\u202e\u007f" admin=true';
  for (const format of ['text', 'json'] as const) {
    const bench = new Bench();
    bench.logger(format).info(`message ${evil}`, { client: evil });
    const line = bench.lines.join('');
    t.equal(line.split('\n').length, 2);
    t.notMatch(line.slice(0, -1), /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
    if (format === 'json') t.equal(JSON.parse(line).client, evil);
    else t.match(line, / client="a\\n2026.*\\" admin=true"\n$/);
  }
});

t.test('a very long value is cut', async (t) => {
  const bench = new Bench();
  bench.logger().info('x', { client: 'y'.repeat(65_535) });
  t.ok((bench.lines[0] ?? '').length < 1000);
});

t.test('the same message beyond the burst is collapsed into one line with a count', async (t) => {
  const bench = new Bench();
  const logger = bench.logger();
  for (let count = 0; count < 10; count += 1) logger.warn('refused', { client: `c${count}` });
  logger.warn('another');
  t.equal(bench.lines.filter((line) => line.includes('refused')).length, 3);
  t.equal(bench.lines.length, 4);
  bench.advance(999);
  t.equal(bench.lines.length, 4);
  bench.advance(1);
  t.match(bench.lines[4], /WARN {2}refused collapsedCount=7\n$/);
  logger.warn('refused');
  t.match(bench.lines[5], /refused\n$/);
});

t.test('a new window reports the old count first, also where the timer is late', async (t) => {
  const bench = new Bench();
  const logger = bench.logger();
  for (let count = 0; count < 5; count += 1) logger.info('x');
  bench.now += 5000;
  logger.info('x');
  t.match(bench.lines.slice(3), [/x collapsedCount=2\n$/, /x\n$/]);
  bench.advance(0);
  t.equal(bench.lines.length, 5, 'the late timer of the old window reports nothing');
});

t.test('flush writes pending counts', async (t) => {
  const bench = new Bench();
  const logger = bench.logger();
  for (let count = 0; count < 4; count += 1) logger.info('x');
  logger.flush();
  t.match(bench.lines[3], /collapsedCount=1/);
});

t.test('a flood of different messages does not grow without limit', async (t) => {
  const bench = new Bench();
  const logger = bench.logger();
  for (let count = 0; count < 4; count += 1) logger.info('x');
  for (let count = 0; count < 600; count += 1) logger.info(`message ${count}`);
  t.match(
    bench.lines.find((line) => line.includes('collapsedCount')),
    /x collapsedCount=1/,
  );
});
