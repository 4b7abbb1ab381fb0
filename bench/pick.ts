import type { Instance } from '@rollcall/core';
import { systemRandom } from '@rollcall/core';
import {
  BALANCERS,
  NodeTable,
  Balancer,
  BALANCER_NAMES,
  Breaker,
  defaultTripRules,
  Node,
  TypicalLatency,
} from '@rollcall/client/testing';
import type { BalancerName } from '@rollcall/client/testing';
import { paired, single } from './harness.js';
import type { Bench, Figure, Report } from './harness.js';

const RUNS = 11;
const PICKS = 200_000;
/** The number of calls in flight at any time. */
const IN_FLIGHT = 64;
/** 50,000 calls a second. */
const STEP_MS = 0.02;
const CHANGES = 2_000;

const CALLABLE = { key: '', states: ['HEALTHY', 'REGISTERING', 'UNHEALTHY'], version: '', metadata: [] } as const;

function instanceOf(index: number, fields: Partial<Instance> = {}): Instance {
  return {
    id: `orders-01890a5d-ac96-774b-bcce-${String(index).padStart(12, '0')}`,
    service: 'orders',
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '10.0.0.1', port: 1 + index, tls: false }],
    version: '1.0.0',
    zone: '',
    weight: 100,
    metadata: {},
    state: 'HEALTHY',
    reason: { code: 'BOTH_WAYS_OK', text: 'answers Heartbeat-1 and sends Heartbeat-2' },
    since: 0,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: 0,
    revision: 1,
    ...fields,
  };
}

/** As decoded from the feed: each with strings of its own. */
const fleetOf = (count: number): readonly Instance[] =>
  Array.from({ length: count }, (_, index) => JSON.parse(JSON.stringify(instanceOf(index))) as Instance);

/** All instances are candidates: the default would use a subset of 20, which is faster. */
function balancerOf(name: BalancerName): Balancer<Node> {
  const typical = new TypicalLatency();
  const balancing = BALANCERS[name];
  const nodeTable = new NodeTable(balancing.load(typical));
  return new Balancer<Node>({
    picker: balancing.picker(systemRandom),
    standard: CALLABLE,
    maxEjectedRatio: 0.5,
    preferences: { zone: '', minInZone: 3, subsetSize: Infinity },
    callerId: 'bench',
    copy: { stale: false },
    intervalMs: () => 5_000,
    create: (instance) => {
      const [endpoint] = instance.endpoints;
      if (endpoint === undefined) return null;
      const breaker = new Breaker(defaultTripRules(), systemRandom);
      const limit = { initial: 20, min: 2, max: 500 };
      return new Node({ instance, endpoint, breaker, limit, nodeTable });
    },
    hasMoved: (node, instance) => node.endpoint.port !== instance.endpoints[0]?.port,
    retire() {},
    ping() {},
  });
}

class PickRequest {
  now = 0;
  readonly selector = CALLABLE;
  hashKey: string | null = null;
  readonly tried = null;
  readonly triedToo = null;
  readonly probes = 'never';
  isProbe = false;
}

/** Picks, starts and ends calls, and returns the ns for each: the cost of balancing a call, without its clock. */
class PickLoop {
  readonly balancer: Balancer<Node>;
  readonly #request: PickRequest;
  readonly #keys: readonly (string | null)[];
  readonly #busy: (Node | null)[] = Array.from({ length: IN_FLIGHT }, () => null);
  #now = 1;

  constructor(name: BalancerName, fleet: readonly Instance[]) {
    this.balancer = balancerOf(name);
    this.balancer.update(fleet, 0);
    // the very same object each time, as a call has its selector from its service
    this.#request = new PickRequest();
    this.#keys = Array.from({ length: 1_024 }, (_, i) => (name === 'consistent-hash' ? `customer-${i}` : null));
  }

  run(picks: number): number {
    const request = this.#request;
    const startedAt = process.cpuUsage();
    for (let i = 0; i < picks; i += 1) {
      const now = (this.#now += STEP_MS);
      request.now = now;
      request.hashKey = this.#keys[i & 1_023] ?? null;
      const node = this.balancer.pick(request);
      if (node === null) throw new Error('nothing was picked');
      node.begin(now, true);
      const ended = this.#busy[i % IN_FLIGHT] ?? null;
      this.#busy[i % IN_FLIGHT] = node;
      if (ended !== null) this.#end(ended, now);
    }
    return cpuNsSince(startedAt) / picks;
  }

  /** The effect of `Lane.answered` on load and gates. */
  #end(node: Node, now: number): void {
    node.end();
    node.answered(now);
    this.balancer.succeeded(node, now);
    node.observe(1 + (node.inFlight & 3), now);
  }
}

/** A solution without a library: filter the callable instances, and draw one at random. */
function filterAndRandom(fleet: readonly Instance[], picks: number): number {
  const startedAt = process.cpuUsage();
  let ports = 0;
  for (let i = 0; i < picks; i += 1) {
    const callable = fleet.filter((instance) => instance.state === 'HEALTHY' && instance.admin === 'ENABLED');
    ports += callable[Math.floor(Math.random() * callable.length)]?.endpoints[0]?.port ?? 0;
  }
  if (ports === 0) throw new Error('nothing was picked');
  return cpuNsSince(startedAt) / picks;
}

/** CPU time, not elapsed time: a busy machine does not change it. */
function cpuNsSince(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) * 1_000;
}

function measure(runs: () => { readonly ours: number; readonly theirs: number }): { ours: number; theirs: number }[] {
  runs();
  return Array.from({ length: RUNS }, runs);
}

function measureSizes(report: Report): void {
  const loops = new Map([100, 1_000, 10_000].map((count) => [count, new PickLoop('p2c-peak-ewma', fleetOf(count))]));
  const targets = new Map([[1_000, '<= 250 ns']]);
  for (const [count, loop] of loops) {
    const fleet = fleetOf(count);
    const pairs = measure(() => ({
      ours: loop.run(PICKS),
      theirs: filterAndRandom(fleet, Math.max(200, PICKS / (5 * count))),
    }));
    report(paired(`pick + start + end, ${count} (beside filter + random)`, 'ns', pairs, targets.get(count)));
  }
  const [hundred, thousand, many] = [...loops.values()];
  if (hundred === undefined || thousand === undefined || many === undefined) return;
  const compareWith = (small: PickLoop) => measure(() => ({ ours: many.run(PICKS), theirs: small.run(PICKS) }));
  report(paired('10,000 beside 1,000', 'ns', compareWith(thousand), '<= 2 x'));
  report(paired('10,000 beside 100', 'ns', compareWith(hundred), '<= 2 x'));
}

function measurePickers(report: Report): void {
  const fleet = fleetOf(1_000);
  const standard = new PickLoop('p2c-peak-ewma', fleet);
  for (const name of BALANCER_NAMES.slice(1)) {
    const loop = new PickLoop(name, fleet);
    const pairs = measure(() => ({ ours: loop.run(PICKS), theirs: standard.run(PICKS) }));
    report(paired(`${name}, 1000 (beside p2c-peak-ewma)`, 'ns', pairs));
  }
}

/** From the new list to the first pick that follows it, each time another instance: µs. */
function timeChanges(changed: (fleet: readonly Instance[], at: number) => readonly Instance[]): Figure['value'] {
  const { balancer } = new PickLoop('p2c-peak-ewma', []);
  const request = new PickRequest();
  let fleet = fleetOf(1_000);
  balancer.update(fleet, 0);
  balancer.pick(request);
  const startedAt = process.cpuUsage();
  for (let i = 0; i < CHANGES; i += 1) {
    // each place twice: the second time reverts the change
    fleet = changed(fleet, ((i >> 1) * 7) % 1_000);
    request.now = i;
    balancer.update(fleet, i);
    balancer.pick(request);
  }
  return cpuNsSince(startedAt) / CHANGES / 1_000;
}

function measureChanges(report: Report): void {
  let revision = 2;
  const kinds: Readonly<Record<string, Parameters<typeof timeChanges>[0]>> = {
    'changes its state': (fleet, at) => {
      const known = fleet[at];
      if (known === undefined) return fleet;
      const state = known.state === 'HEALTHY' ? 'UNHEALTHY' : 'HEALTHY';
      return fleet.with(at, { ...known, state, revision: (revision += 1) });
    },
    'goes, or a new one comes': (fleet, at) =>
      fleet.length === 1_000 ? fleet.toSpliced(at, 1) : [...fleet, instanceOf((revision += 1) + 1_000_000)],
  };
  for (const [what, kind] of Object.entries(kinds)) {
    timeChanges(kind);
    const values = Array.from({ length: RUNS }, () => timeChanges(kind));
    report(single(`1 in 1,000 ${what}: applied`, 'µs', values, '<= 50 µs'));
  }
}

export const pick: Bench = {
  name: 'pick',
  question: 'What does it cost a call to be balanced, and what does a change of the fleet cost?',
  run(report) {
    measureSizes(report);
    measurePickers(report);
    measureChanges(report);
    return Promise.resolve();
  },
};
