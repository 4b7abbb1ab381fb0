import { Rollcall } from '@rollcall/client';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { openService } from '../fuzz/service.js';
import { endAll, launch } from '../process/launch.js';
import type { Child } from '../process/launch.js';

/** The source address of the flood; honest clients use another one. */
const ATTACKER = '127.0.0.9';
const SECRET = 'a-secret-of-the-attacker-123';
const PROGRAM = fileURLToPath(new URL('programs/flooded.mjs', import.meta.url));
const MIB = 1_048_576;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  await endAll();
});

interface RegistryProcess {
  readonly url: string;
  readonly child: Child;
  /** Its live memory, in bytes, with buffers and without garbage. */
  readonly heap: () => Promise<number>;
}

/** A registry in a process that may open this many files; heartbeats are due every second. */
async function startRegistryProcess(options: object = {}, openFiles = 20_000): Promise<RegistryProcess> {
  const settings = JSON.stringify({ intervalMs: 1_000, ...options });
  const limited = `ulimit -n ${openFiles} && exec "$0" "$@"`;
  const child = launch('sh', ['-c', limited, process.execPath, '--expose-gc', PROGRAM, settings]);
  const { url } = JSON.parse(await child.line(/"url"/));
  let asked = 0;
  const heap = async (): Promise<number> => {
    asked += 1;
    child.kill('SIGUSR2');
    return JSON.parse(await child.line(new RegExp(`"asked":${asked},`))).heap;
  };
  return { url, child, heap };
}

/** Instances that live and beat, each over fresh connections. Resolves with them when they are HEALTHY. */
async function startHonestInstances(url: string, count: number): Promise<readonly Rollcall[]> {
  const members: Rollcall[] = [];
  for (let index = 0; index < count; index += 1) members.push(await enter(url));
  const states = (): readonly unknown[] => members.map(({ state }) => state);
  await expect.poll(states, { timeout: 8_000, interval: 20 }).toEqual(members.map(() => 'HEALTHY'));
  return members;
}

async function enter(url: string): Promise<Rollcall> {
  const rollcall = new Rollcall({ registry: url, service: 'orders' });
  cleanups.push((await openService(rollcall)).close);
  return rollcall;
}

interface Answer {
  readonly status: number;
  readonly body: any;
}

/** Sends a request over a connection of its own. Rejects when it gets no answer. */
async function ask(url: string, body?: object, localAddress = '127.0.0.1'): Promise<Answer> {
  const headers = { authorization: `Bearer ${SECRET}`, 'content-type': 'application/json' };
  const sent = request(url, { method: body === undefined ? 'GET' : 'POST', agent: false, headers, localAddress });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await once(sent, 'response');
  const text: string = (await response.toArray()).join('');
  return { status: response.statusCode, body: text === '' ? null : JSON.parse(text) };
}

/** The states since HEALTHY that the honest instances should not have had. */
async function findLapses(url: string): Promise<readonly string[]> {
  const { body } = await ask(`${url}/api/v1/events?service=orders&kind=state&limit=1000`);
  const states: string[] = body.events.map((event: { readonly state: string }) => event.state);
  return states.filter((state) => state !== 'REGISTERING' && state !== 'HEALTHY');
}

/** A connection of the attacker, over which this text is sent. */
async function open(url: string, text: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress: ATTACKER });
  socket.on('error', () => {});
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(text, 'latin1');
  return socket;
}

const HEAD = 'GET /api/v1/services HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ';
const BODY =
  'POST /api/v1/register HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{';

const registration = (index: number, port: number, note = ''): object => ({
  id: `flood-${String(index).padStart(12, '0')}`,
  service: 'flood',
  secret: SECRET,
  metadata: { note },
  endpoints: [{ protocol: 'tcp', host: `127.9.${index >> 8}.${index & 255}`, port }],
});

/** Runs `one` for 0 … count - 1, `concurrency` at a time. */
async function runConcurrently(
  count: number,
  concurrency: number,
  one: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const connectInTurn = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await one(next - 1);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, connectInTurn));
}

/** A server that accepts connections, and never answers. */
async function startSilentServer(): Promise<number> {
  const server = createTcpServer((socket) => void socket.on('error', () => {}).resume()).listen(0, '0.0.0.0');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

it('connections beyond the limit of open files, which send nothing, half a header or half a body, lock out no client', async () => {
  const { url, child } = await startRegistryProcess({}, 1_024);
  await startHonestInstances(url, 5);
  const sockets: Socket[] = [];
  const payloads = ['', HEAD, BODY];
  // fresh connections of an honest client, while the crowd arrives and when it is there
  const asked = async (): Promise<number> => (await ask(`${url}/api/v1/registry`)).status;
  const statuses: number[] = [];
  await runConcurrently(1_500, 50, async (index) => {
    sockets.push(await open(url, payloads[index % payloads.length] ?? ''));
    if (index % 15 === 0) statuses.push(await asked());
  });
  for (let index = 0; index < 50; index += 1) statuses.push(await asked());
  expect(statuses).toHaveLength(150);
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
  expect(sockets.filter(({ readyState }) => readyState === 'open').length).toBeLessThan(1_024);
  expect(await findLapses(url)).toEqual([]);
  const warnings = child.err.filter((line) => line.includes('it closes those without a request, first of 127.0.0.9'));
  expect(warnings).toHaveLength(1);
});

it('thousands of registrations from one address, of instances that never answer, affect only that address', async () => {
  const { url, child, heap } = await startRegistryProcess({ maxInstances: 400, maxCalls: 50 });
  await startHonestInstances(url, 5);
  const port = await startSilentServer();
  const flood = async (from: number, count: number): Promise<Readonly<Record<number, number>>> => {
    const counts: Record<number, number> = {};
    await runConcurrently(count, 100, async (index) => {
      const { status } = await ask(`${url}/api/v1/register`, registration(from + index, port), ATTACKER);
      counts[status] = (counts[status] ?? 0) + 1;
    });
    return counts;
  };
  expect(await flood(0, 500)).toEqual({ 201: 200, 429: 300 });
  const before = await heap();
  expect(await flood(500, 1_500)).toEqual({ 429: 1_500 });
  // refused registrations leave nothing behind
  expect((await heap()) - before).toBeLessThan(1_500 * 1_024);
  expect((await ask(`${url}/api/v1/registry`)).body).toMatchObject({ instances: 205 });
  expect(await findLapses(url)).toEqual([]);
  expect(child.err.filter((line) => line.startsWith('Refused'))).toHaveLength(1);
});

const beatOf = (id: string): string =>
  `POST /api/v1/instances/${id}/heartbeat HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${SECRET}\r\ncontent-type: application/json\r\ncontent-length: 22\r\n\r\n{"nonce":null,"seq":1}`;

it('heartbeats for an unknown instance, as fast as they are answered, delay no other heartbeats', async () => {
  const { url, child } = await startRegistryProcess();
  await startHonestInstances(url, 5);
  let answered = 0;
  const begunAt = performance.now();
  const flood = runConcurrently(100, 100, async () => {
    const socket = await open(url, beatOf('nobody-1').repeat(8));
    let due = 8;
    socket.on('data', (bytes: Buffer) => {
      const answers = bytes.toString('latin1').split('HTTP/1.1 404').length - 1;
      answered += answers;
      due -= answers;
      if (due > 0) return;
      due = 8;
      socket.write(beatOf('nobody-1').repeat(8), 'latin1');
    });
  });
  await flood;
  // three intervals, in each of which every instance beats
  await expect.poll(() => performance.now() - begunAt, { timeout: 10_000 }).toBeGreaterThan(3_000);
  expect(answered).toBeGreaterThan(1_000);
  expect(await findLapses(url)).toEqual([]);
  const pipelined = await open(url, beatOf('nobody-1').repeat(1_000));
  await new Promise((closed) => pipelined.on('close', closed).resume());
  expect(child.err.filter((line) => line.includes('without waiting for answers'))).toHaveLength(1);
  expect(await findLapses(url)).toEqual([]);
});

it('requests pipelined behind a refused one leave nothing behind', async () => {
  const { url, heap } = await startRegistryProcess();
  await startHonestInstances(url, 5);
  const refused = 'GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: a miracle\r\n\r\n';
  const behind = 'GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'.repeat(31);
  const flood = (count: number): Promise<void> =>
    runConcurrently(count, 20, async () => {
      const socket = await open(url, refused + behind);
      await new Promise((closed) => socket.on('close', closed).resume());
    });
  await flood(100);
  const before = await heap();
  await flood(500);
  expect((await heap()) - before).toBeLessThan(500 * 8_192);
  expect(await findLapses(url)).toEqual([]);
});

it('requested megabytes that are never read are cut before they fill the memory', async () => {
  const { url, child, heap } = await startRegistryProcess();
  await startHonestInstances(url, 5);
  const port = await startSilentServer();
  const notes = '.'.repeat(3_900);
  await runConcurrently(1_000, 16, (index) =>
    ask(`${url}/api/v1/register`, registration(index, port, notes), ATTACKER),
  );
  const before = await heap();
  const question = 'GET /api/v1/services/flood HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n';
  let peak = 0;
  // more than one over each connection; no second one is sent before the first is accepted
  for (let group = 0; group < 6; group += 1) {
    await runConcurrently(10, 10, async () => (await open(url, question.repeat(4))).pause());
    peak = Math.max(peak, await heap());
  }
  await expect.poll(() => child.err.join('\n'), { timeout: 10_000 }).toContain('MiB of answers wait to be read');
  expect(peak - before).toBeLessThan((64 * 2 + 64) * MIB);
  expect((await ask(`${url}/api/v1/services/flood`)).body.instances).toHaveLength(1_000);
  expect(await findLapses(url)).toEqual([]);
});

it('slow headers, slow bodies and watchers that never read are cut, and cost at most their backlog', async () => {
  const { url, heap } = await startRegistryProcess();
  await startHonestInstances(url, 5);
  const port = await startSilentServer();
  const before = await heap();
  const slow: Socket[] = [];
  await runConcurrently(60, 20, async (index) => slow.push(await open(url, index % 2 === 0 ? HEAD : BODY)));
  const dripTimer = setInterval(() => slow.forEach((socket) => socket.write('a')), 500);
  cleanups.push(() => clearInterval(dripTimer));
  for (const socket of slow) socket.resume();
  const unreadSockets: Socket[] = [];
  await runConcurrently(8, 8, async () => {
    const socket = await open(url, 'GET /api/v1/watch?service=flood HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    unreadSockets.push(socket.pause());
  });
  const watchers = async (): Promise<number> => (await ask(`${url}/api/v1/registry`)).body.watchers;
  const lines = 5;
  await expect.poll(watchers, { timeout: 10_000 }).toBe(lines + unreadSockets.length);
  let peak = 0;
  // until each of them was sent more than the kernel buffers, and has read nothing of it for 10 s
  for (let change = 0; (await watchers()) > lines; change += 50) {
    await runConcurrently(50, 10, (index) =>
      ask(`${url}/api/v1/register`, registration(index, port, String(change).padEnd(4_000, '.')), ATTACKER),
    );
    peak = Math.max(peak, await heap());
  }
  expect(slow.filter(({ readyState }) => readyState !== 'closed')).toEqual([]);
  expect(await findLapses(url)).toEqual([]);
  expect(peak - before).toBeLessThan((unreadSockets.length * 2 + 32) * MIB);
});
