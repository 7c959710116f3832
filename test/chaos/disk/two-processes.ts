/** Two gateways on one data folder: the second one says so and leaves, the first one is none the worse. */
import { Random } from '../../sim/random.js';
import { Fleet } from '../fleet.js';
import { GatewayProcess } from '../gateway-process.js';
import { Recording } from '../judgement.js';
import type { ProofReport } from '../report.js';
import { freePort } from '../../support/free-port.js';

export async function twoProcesses(rounds: number, seed: number): Promise<ProofReport> {
  const recording = new Recording(`two-${seed}`);
  const { dataDir } = recording;
  const port = await freePort();
  const fleet = new Fleet({ history: recording.history, port, random: new Random(seed, 'two') });
  const failures: string[] = [];
  const first = new GatewayProcess({ dataDir, port });
  let said = '';
  let failed = true;
  try {
    await first.whenReady();
    await fleet.start();
    fleet.load();
    for (let i = 0; i < rounds; i++) {
      recording.fault('second');
      const second = new GatewayProcess({ dataDir, port: 0 });
      const { code } = await second.ended;
      recording.heal('second');
      said = second.text.trim();
      if (
        code === 0 ||
        code === null ||
        !/in use by another process.*--data-dir/.test(said) ||
        said.includes('\n')
      )
        failures.push(`the second one ended with ${code}: ${said}`);
      await fleet.served();
    }
    if (first.errors.length > 0) failures.push(`the first one logged ${JSON.stringify(first.errors[0])}`);
    await first.kill();
    // Nothing that the second one did was in the way of a restart either.
    const again = new GatewayProcess({ dataDir, port });
    if (!(await again.whenReady())) failures.push(`after that no gateway starts: ${again.text}`);
    const { figures, failures: found } = await recording.judge(fleet, {});
    await again.stop();
    failed = failures.length + found.length > 0;
    return {
      figures: { 'second processes': rounds, 'what they say': said, ...figures },
      failures: [...failures, ...found],
    };
  } finally {
    fleet.leave();
    if (first.isRunning) await first.stop();
    recording.close({ keep: failed });
  }
}
