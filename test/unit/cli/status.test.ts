import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { statusOf } from '../../../lib/telemetry/status.js';
import { runHere } from '../../integration/cli-in-process.js';
import { createView } from '../telemetry/view.js';

const READY = { ready: true, reasons: [] };
type Changes = Parameters<typeof createView>[0];

async function told(
  changes: Changes,
  readiness = READY,
  diskBytes = 32e9,
): Promise<{ code: number; out: string }> {
  const server = createServer((_request, response) =>
    response.end(JSON.stringify(statusOf(createView(changes), readiness, diskBytes))),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const { code, out } = await runHere(['status', '--url', `http://127.0.0.1:${port}`]);
  server.close();
  return { code: code ?? -1, out };
}

t.test('status says in words what a gateway says in numbers', async (t) => {
  const onDisk = { storageLevel: 'disk', uptimeS: 10_000 } as const;

  t.match((await told({ ...onDisk, deviceWrittenBytes: 4000 })).out, /lasts about more than 100 years/);
  t.match((await told({ ...onDisk, deviceWrittenBytes: 8e9 })).out, /lasts about \d\.\d years/);
  t.match((await told({ ...onDisk, deviceWrittenBytes: 5e7 })).out, /lasts about \d\d years/);
  t.match((await told({ ...onDisk, uptimeS: 60 })).out, /up for 60 s[^]*after ten minutes it says/);
  t.notMatch((await told({ ...onDisk, storagePayloadBytes: 0 })).out, /byte of payload/);
  t.match((await told({ ...onDisk, storageLostPositions: 3 })).out, /^lost +3 records/m);
  t.notMatch((await told({ ...onDisk, storageFreeBytes: 0 })).out, /of the disk are free/);
  t.match((await told({ ...onDisk, uptimeS: 500_000 })).out, /up for 5 days/);
  t.match((await told({ ...onDisk, uptimeS: 3000 })).out, /up for 50 min/);
  const memory = await told({ storageLevel: 'memory' });
  t.match(memory.out, /^durability +memory: nothing survives/m);
  t.notMatch(memory.out, /^log/m);
  const stuck = await told(onDisk, { ready: false, reasons: ['storage: no space'] } as never);
  t.match(stuck, { code: 1, out: /^state +not ready: storage: no space$/m });
});

t.test('what does not answer as a gateway does is named', async (t) => {
  const server = createServer((_request, response) => {
    response.statusCode = 404;
    response.end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  t.match(await runHere(['status', '-u', `http://127.0.0.1:${port}`]), { code: 1, err: /it answered 404/ });
  server.close();
});
