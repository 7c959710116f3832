/** A small S3 server as a process of its own, which says where it is and does not outlive who started it. */
import { S3Server } from '../../support/s3-server.js';

const LOOK_EVERY_MS = 1000;

const server = new S3Server();
await server.listen();
process.stdout.write(`${server.endpoint}\n`);
const { ppid } = process;
setInterval(() => {
  if (process.ppid !== ppid) process.exit(0);
}, LOOK_EVERY_MS);
