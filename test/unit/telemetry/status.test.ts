import t from 'tap';
import { flashLife } from '../../../lib/telemetry/flash-life.js';
import { parseDeviceWrittenBytes } from '../../../lib/telemetry/process-figures.js';
import { statusOf } from '../../../lib/telemetry/status.js';
import { createView } from './view.js';

const READY = { ready: true, reasons: [] };

t.test('the life of a card follows from what is written in a day', async (t) => {
  // 32 GB, 500 times, is 16 PB; 10 GB in a day, twice for what comes on top, is 7.3 TB in a year.
  const life = flashLife(10e9, 86_400, 32e9);
  t.equal(life.bytesPerDay, 10e9);
  t.equal(Math.round((life.years ?? 0) * 100) / 100, 2.19);
  t.equal(flashLife(5e9, 43_200, 32e9).years, life.years, 'half a day tells the same');
  t.same(flashLife(0, 86_400, 32e9), { bytesPerDay: 0, years: undefined });
  t.equal(flashLife(10, 0, 32e9).years, undefined, 'nothing is known yet');
  t.equal(flashLife(10, 10, Infinity).years, undefined);
});

t.test('bytes written to devices are read from /proc, or unknown', async (t) => {
  t.equal(parseDeviceWrittenBytes('rchar: 1\nwrite_bytes: 8192\ncancelled_write_bytes: 4\n'), 8192);
  t.equal(parseDeviceWrittenBytes('nothing'), 0);
});

t.test('a status is what a view says, in short', async (t) => {
  const status = statusOf(createView({ uptimeS: 6190 }), READY, 32e9);
  const early = statusOf(createView({ uptimeS: 599 }), READY, 32e9);
  t.match(early, { flash: { years: null, bytesPerDay: null }, storage: { writtenPerPayloadByte: null } });
  t.match(status, {
    ready: true,
    clients: { connected: 11, sessions: 14 },
    storage: { level: 'memory', logBytes: 1_000_000, writtenPerPayloadByte: 1.5 },
  });
  t.ok((status.flash.years ?? 0) > 1);
  const withoutProc = statusOf(createView({ uptimeS: 6190, deviceWrittenBytes: 0 }), READY, 32e9);
  t.equal(withoutProc.storage.writtenPerPayloadByte, 1.25, 'what was handed to the file system');
  const idle = statusOf(createView({ uptimeS: 6190, storagePayloadBytes: 1_000_000 }), READY, Infinity);
  t.equal(idle.storage.writtenPerPayloadByte, null, 'too little was stored');
  t.equal(idle.flash.years, null);
});
