import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the ephemeral ports of systems (32768 and up on Linux, 49152 elsewhere), so that no process is given it
 * meanwhile.
 */
const FIRST = 20_000;
const PER_WORKER = 1_500;
const WORKERS = 8;

/** Given out earlier: its program may not listen yet. */
const given = new Set<number>();

/**
 * A port of 127.0.0.1 that was free a moment ago, and is never given out twice: for programs that cannot choose one and
 * report it.
 */
export async function freePort(): Promise<number> {
  const worker = Number(process.env['VITEST_POOL_ID'] ?? 1) % WORKERS; // files that run concurrently use different ports
  for (;;) {
    const port = FIRST + worker * PER_WORKER + Math.floor(Math.random() * PER_WORKER);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const failed = once(server, 'error').then(() => false);
  const listened = new Promise<boolean>((resolve) => void server.listen(port, '127.0.0.1', () => resolve(true)));
  if (!(await Promise.race([listened, failed]))) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}
