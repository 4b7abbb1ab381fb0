// The application of kinds.mjs, or of PROGRAM, as WORKERS workers of node:cluster, which share its ports; one that dies
// is forked again. Each gets NODE_APP_INSTANCE, as in PM2's cluster mode, which forks with node:cluster too.
import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';

const { WORKERS = '3', PROGRAM = 'kinds.mjs' } = process.env;

cluster.setupPrimary({ exec: fileURLToPath(new URL(PROGRAM, import.meta.url)), execArgv: [] });
let isEnding = false;
let forks = 0;
const fork = () => cluster.fork({ NODE_APP_INSTANCE: String((forks += 1)) });
for (let count = 0; count < Number(WORKERS); count += 1) fork();
cluster.on('exit', ({ process: { pid } }, code, signal) => {
  console.log(`worker ${pid} ended: ${signal ?? code}`);
  if (!isEnding) fork();
});
process.on('SIGTERM', () => {
  isEnding = true;
  for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGTERM');
});
