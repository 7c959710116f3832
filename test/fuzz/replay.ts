import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import * as wire from '../support/wire.js';
import { readRecord, type RecordedConnection } from './record.js';

/** Between the steps of one connection: long enough for an answer. */
const PACE_MS = 5;

async function play(connection: RecordedConnection, port: number): Promise<void> {
  const socket: Socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined); // The gateway ends what is wrong.
  socket.resume();
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  for (const step of connection.steps) {
    await delay(PACE_MS);
    if (socket.destroyed) break;
    if ('write' in step) socket.write(Buffer.from(step.write, 'hex'));
    else if (step.end === 'reset') socket.resetAndDestroy();
    else socket.end(step.end === 'disconnect' ? wire.disconnect() : '');
  }
  await delay(PACE_MS);
  socket.destroy();
}

/** Sends a failed run's last connections again, one after the other, telling each before it begins. */
export async function replay(file: string, port: number): Promise<void> {
  for (const [index, connection] of readRecord(file).entries()) {
    console.log(`${index}: ${connection.card}`);
    await play(connection, port);
  }
}
