/**
 * Only the registry's engine in a process, on a manual clock: `size <count> <memory|disk>`, `beats <count>`,
 * `churn <pairs>`. Every instance answers Heartbeat-1 at once and sends Heartbeat-2. Prints its measurements, then ends.
 */
import { DEFAULT_POLICY, noMeter, silentLog, systemRandom } from '@rollcall/core';
import type { Endpoint, HeartbeatCall, Registration } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { DEFAULT_LIMITS, diskStore, MemoryStore, Registry } from '@rollcall/registry';
import type { ProbeProtocol, ProbeOutcome, Store } from '@rollcall/registry';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');

/** Live memory, in bytes: the heap and its external memory. */
function liveBytes(): number {
  if (typeof collectGarbage !== 'function') throw new Error('This Node has no gc to expose.');
  // the second collection takes what only finalizers release
  for (let times = 0; times < 2; times += 1) collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const PEER = { address: '127.0.0.1' };
/** The first few of everything compile code and size tables; they do not count. */
const WARM_UP = 500;
const SERVICES = 50;
const { intervalMs } = DEFAULT_POLICY;
const TOMBSTONES_MS = 600_000;

const secretOf = (id: string): string => `a-secret-of-${id}`;

/** As decoded from the wire: every string is its own. */
function registration(n: number, service: string): Registration {
  const id = `${service}-0192f0e4-7aaa-7bbb-8ccc-${String(n).padStart(12, '0')}`;
  const host = `127.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
  const metadata = { pid: String(n), team: 'checkout' };
  const endpoints = [{ protocol: 'tcp', host, port: 3001 }];
  const fields = { id, service, secret: secretOf(id), version: '1.4.2', zone: 'eu-1a', metadata, endpoints };
  return JSON.parse(JSON.stringify(fields)) as Registration;
}

class Engine {
  readonly time = new ManualTime();
  readonly registry: Registry;
  beats = 0;

  constructor(store: Store) {
    const unlimited = 1_000_000;
    this.registry = new Registry(
      {
        time: this.time,
        random: systemRandom,
        log: silentLog,
        meter: noMeter,
        store,
        callers: [this.#caller()],
        resolve: (host) => Promise.resolve(host),
      },
      {
        policy: DEFAULT_POLICY,
        allowedNetworks: [],
        limits: {
          ...DEFAULT_LIMITS,
          maxInstances: unlimited,
          maxInstancesPerSource: unlimited,
          maxInstancesPerService: unlimited,
        },
        freshEvery: 1,
      },
    );
  }

  async register(from: number, count: number): Promise<void> {
    for (let n = from; n < from + count; n += 1) await this.registerOne(n, `service-${n % SERVICES}`);
  }

  async registerOne(n: number, service: string): Promise<string> {
    const answer = await this.registry.register(registration(n, service), PEER);
    if (!answer.ok) throw new Error(answer.problem.detail);
    return answer.value.instance.id;
  }

  /** Throws when an instance is not HEALTHY: then something else was measured. */
  checkHealthy(): void {
    const answer = this.registry.services('*');
    if (!answer.ok) throw new Error(answer.problem.detail);
    const isUnhealthy = answer.value.services.some(({ instances, states }) => states.HEALTHY !== instances);
    if (isUnhealthy) throw new Error('Not every instance is HEALTHY.');
  }

  #caller(): ProbeProtocol {
    const beat = ({ instance, nonce }: HeartbeatCall): void => {
      this.beats += 1;
      this.registry.beat(instance, secretOf(instance), { nonce, seq: this.beats });
    };
    const call = (_endpoint: Endpoint, probe: HeartbeatCall): Promise<ProbeOutcome> => {
      queueMicrotask(() => beat(probe));
      return Promise.resolve({ kind: 'answered', instance: probe.instance, nonce: probe.nonce, ms: 1 });
    };
    return { protocol: 'tcp', call, close: () => undefined };
  }
}

async function sizeOf(count: number, store: Store): Promise<object> {
  const engine = new Engine(store);
  await engine.registry.start();
  await engine.register(count, WARM_UP);
  await engine.time.advanceBy(3 * intervalMs);
  await store.write([{ forget: 'unknown' }]);
  const before = liveBytes();
  await engine.register(0, count);
  await engine.time.advanceBy(3 * intervalMs);
  await store.write([{ forget: 'unknown' }]);
  const bytes = (liveBytes() - before) / count;
  engine.checkHealthy();
  await engine.registry.close();
  return { bytes };
}

/** The growth of live memory from the first tenth of the beats to the last. */
async function growthOverBeats(count: number): Promise<object> {
  const engine = new Engine(new MemoryStore());
  await engine.registry.start();
  await engine.register(0, 2_000);
  const levels: number[] = [];
  while (engine.beats < count) {
    const next = engine.beats + count / 10;
    while (engine.beats < next) await engine.time.advanceBy(intervalMs);
    levels.push(liveBytes());
  }
  engine.checkHealthy();
  await engine.registry.close();
  return { bytes: (levels.at(-1) ?? 0) - (levels[0] ?? 0), beats: engine.beats };
}

/** The growth of live memory from the first of ten waves to the last, when the tombstones of each have expired. */
async function growthOverChurn(pairs: number): Promise<object> {
  const engine = new Engine(new MemoryStore());
  await engine.registry.start();
  await engine.register(0, 10);
  const levels: number[] = [];
  for (let n = 10; n < pairs + 10; n += 1) {
    // half of them of a service that was unknown before
    const id = await engine.registerOne(n, n % 2 === 0 ? `service-${n % SERVICES}` : `alone-${n}`);
    const left = await engine.registry.leave(id, { secret: secretOf(id) });
    if (!left.ok) throw new Error(left.problem.detail);
    if ((n - 9) % (pairs / 10) !== 0) continue;
    await engine.time.advanceBy(TOMBSTONES_MS + 3 * intervalMs);
    levels.push(liveBytes());
  }
  engine.checkHealthy();
  await engine.registry.close();
  return { bytes: (levels.at(-1) ?? 0) - (levels[0] ?? 0) };
}

async function sizeOnDisk(count: number): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'rollcall-bench-'));
  try {
    return await sizeOf(count, diskStore({ folder }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(kind: string | undefined, count: number, storeKind: string | undefined): Promise<object> {
  if (kind === 'beats') return growthOverBeats(count);
  if (kind === 'churn') return growthOverChurn(count);
  return storeKind === 'disk' ? sizeOnDisk(count) : sizeOf(count, new MemoryStore());
}

const [kind, count, storeKind] = process.argv.slice(2);
process.send?.(JSON.stringify(await measure(kind, Number(count), storeKind)));
