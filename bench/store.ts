import { sampleInstance } from '@rollcall/core/testing';
import { diskStore } from '@rollcall/registry';
import type { Write } from '@rollcall/registry';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { start } from './child.js';
import { paired, single } from './harness.js';
import type { Bench, Report } from './harness.js';

/** Concurrency, and the gain that it should have over one sync for each. */
const CONCURRENCIES = [
  { concurrent: 1, target: '>= 0.8 x' },
  { concurrent: 64, target: '>= 10 x' },
  { concurrent: 256, target: '>= 20 x' },
];
const ROUNDS = 5;
const ROUND_MS = 800;
const INSTANCES = 10_000;
const STARTS = 7;

/** Stores, or registers, one more; resolves when it is acknowledged. */
type WriteOne = (n: number) => Promise<unknown>;

/** Closed loop: `concurrent` writers, each starts its next write when its last is stored. Writes per second. */
async function measureRate(write: WriteOne, concurrent: number): Promise<number> {
  const startedAt = performance.now();
  let written = 0;
  const writer = async (): Promise<void> => {
    while (performance.now() - startedAt < ROUND_MS) {
      await write((written += 1));
    }
  };
  await Promise.all(Array.from({ length: concurrent }, writer));
  return written / ((performance.now() - startedAt) / 1_000);
}

async function withFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-bench-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const idOf = (n: number): string => `orders-0192f0e4-7aaa-7bbb-8ccc-${String(n).padStart(12, '0')}`;

/** An address of its own for each. */
const hostOf = (n: number): string => `127.${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;

function put(n: number): Write {
  const endpoints = [{ protocol: 'tcp', host: hostOf(n), port: 9, tls: false }] as const;
  const metadata = { pid: String(n), team: 'checkout' };
  const record = sampleInstance({ id: idOf(n), revision: n, endpoints, metadata });
  const hash = String(n).padStart(64, '0');
  return {
    put: { record, targets: record.endpoints, secretHash: hash, callKey: hash, cause: null, proved: true },
  };
}

/** The limit of the disk: the same record appended and synced, in sequence. */
async function withBareFile<Result>(use: (write: WriteOne) => Promise<Result>): Promise<Result> {
  return withFolder(async (folder) => {
    const file = await open(join(folder, 'log'), 'a');
    try {
      return await use(async (n) => {
        await file.write(`${JSON.stringify([put(n)])}\n`);
        await file.datasync();
      });
    } finally {
      await file.close();
    }
  });
}

async function withStore<Result>(use: (write: WriteOne) => Promise<Result>): Promise<Result> {
  return withFolder(async (folder) => {
    const store = diskStore({ folder });
    await store.load();
    try {
      return await use((n) => store.write([put(n)]));
    } finally {
      await store.close();
    }
  });
}

function post(agent: Agent, url: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const clientRequest = request(url, { agent, method: 'POST', headers }, (response) => {
      response.resume();
      response.on('end', () => {
        if (response.statusCode === 201) resolve();
        else reject(new Error(`A registration was answered with ${response.statusCode}.`));
      });
    });
    clientRequest.on('error', reject);
    clientRequest.end(body);
  });
}

/** A whole registry in a process of its own. The registered addresses have no server: probes are refused. */
async function withRegistry<Result>(use: (write: WriteOne) => Promise<Result>): Promise<Result> {
  return withFolder(async (folder) => {
    const registry = await start('feed-registry', [folder]);
    const agent = new Agent({ keepAlive: true, maxSockets: 256 });
    const register: WriteOne = (n) => {
      const endpoints = [{ protocol: 'tcp', host: hostOf(n), port: 9 }];
      const registration = {
        id: idOf(n),
        service: 'orders',
        secret: `a-secret-of-${idOf(n)}`,
        version: '1.4.2',
        endpoints,
      };
      return post(agent, `${registry.readyMessage}/api/v1/register`, JSON.stringify(registration));
    };
    try {
      return await use(register);
    } finally {
      agent.destroy();
      await registry.kill();
    }
  });
}

type WithTarget = (use: (write: WriteOne) => Promise<number>) => Promise<number>;

/** In turns with the bare file, each time on new files. */
async function compare(ours: WithTarget, concurrent: number): Promise<{ ours: number; theirs: number }[]> {
  const pairs = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const theirs = await withBareFile((write) => measureRate(write, 1));
    pairs.push({ theirs, ours: await ours((write) => measureRate(write, concurrent)) });
  }
  return pairs;
}

// ---- restart --------------------------------------------------------------------------------------------------------

/** From the start of the process until it is ready, ms. */
async function measureStart(folder: string): Promise<number> {
  const path = fileURLToPath(new URL('dist/main.js', import.meta.resolve('rollcall/package.json')));
  const startedAt = performance.now();
  const child = spawn(process.execPath, [path, 'up', '--json', '--port', '0', '--data', folder], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const exited = once(child, 'exit');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  const { status } = await fetch(`${url}/health/ready`);
  const ms = performance.now() - startedAt;
  child.kill('SIGKILL');
  await exited;
  if (status !== 200) throw new Error(`The registry answered ${status} when it should be ready.`);
  return ms;
}

async function measureLoad(folder: string): Promise<number> {
  const child = await start('store-load', [folder]);
  await child.kill();
  const { ms, instances } = JSON.parse(child.readyMessage) as { ms: number; instances: number };
  if (instances !== INSTANCES) throw new Error(`${instances} of ${INSTANCES} instances were loaded.`);
  return ms;
}

async function writeInstances(folder: string): Promise<void> {
  const store = diskStore({ folder });
  await store.load();
  await Promise.all(Array.from({ length: INSTANCES }, (_, n) => store.write([put(n)])));
  await store.close();
}

async function measureRestarts(report: Report): Promise<void> {
  await withFolder(async (folder) => {
    await writeInstances(folder);
    const loads: number[] = [];
    for (let times = 0; times < STARTS; times += 1) loads.push(await measureLoad(folder));
    report(single(`loading ${INSTANCES} instances, alone`, 'ms', loads));
    const pairs = [];
    for (let times = 0; times < STARTS; times += 1) {
      const theirs = await withFolder(measureStart);
      pairs.push({ theirs, ours: await measureStart(folder) });
    }
    report(paired(`start to ready with ${INSTANCES}; beside: with none`, 'ms', pairs, '<= 1000 ms'));
  });
}

async function run(report: Report): Promise<void> {
  for (const { concurrent, target } of CONCURRENCIES) {
    const pairs = await compare(withStore, concurrent);
    report(paired(`stored, ${concurrent} at once`, 'registrations/s', pairs, target));
  }
  for (const { concurrent } of CONCURRENCIES) {
    const pairs = await compare(withRegistry, concurrent);
    report(paired(`registered over HTTP, ${concurrent} at once`, 'registrations/s', pairs));
  }
  await measureRestarts(report);
}

export const store: Bench = {
  name: 'store',
  question: 'How many registrations does a disk take, against a bare append and sync each, and how soon is all back?',
  run,
};
