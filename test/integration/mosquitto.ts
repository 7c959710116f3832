import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port.js';

/** False, or why tests against mosquitto are left out. */
export const WITHOUT_MOSQUITTO: false | string =
  spawnSync('mosquitto', ['-h']).error === undefined ? false : 'mosquitto is not installed';

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Resolves once it listens on `lastPort`: mosquitto has no way to say that it is ready; its ports open in the order of the file. */
export async function startMosquitto(config: string, lastPort: number): Promise<ChildProcess> {
  const child = spawn('mosquitto', ['-c', config], { stdio: 'ignore' });
  for (let tries = 0; !(await listens(lastPort)); tries += 1) {
    if (tries > 200) {
      child.kill('SIGKILL');
      throw new Error('mosquitto does not listen');
    }
    await sleep(20);
  }
  return child;
}

/** A mosquitto on loopback: one port for everybody over TCP, one over WebSocket, one for user `u` with password `p`. */
export class Mosquitto {
  readonly port: number;
  readonly wsPort: number;
  readonly securePort: number;
  readonly #config: string;
  #child: ChildProcess | undefined;

  private constructor(ports: readonly [number, number, number], dir: string) {
    [this.port, this.wsPort, this.securePort] = ports;
    this.#config = join(dir, 'mosquitto.conf');
    const passwords = join(dir, 'passwords');
    writeFileSync(passwords, '');
    spawnSync('mosquitto_passwd', ['-b', passwords, 'u', 'p']);
    const acl = join(dir, 'acl');
    writeFileSync(acl, 'topic readwrite ok/#\n');
    writeFileSync(
      this.#config,
      [
        'per_listener_settings true',
        `listener ${this.port} 127.0.0.1\nallow_anonymous true`,
        `listener ${this.wsPort} 127.0.0.1\nprotocol websockets\nallow_anonymous true`,
        `listener ${this.securePort} 127.0.0.1\nallow_anonymous false\npassword_file ${passwords}\nacl_file ${acl}`,
      ].join('\n'),
    );
  }

  static async start(dir: string): Promise<Mosquitto> {
    const broker = new Mosquitto([await freePort(), await freePort(), await freePort()], dir);
    await broker.start();
    return broker;
  }

  async start(): Promise<void> {
    this.#child = await startMosquitto(this.#config, this.securePort);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}
