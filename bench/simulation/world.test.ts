import type { Protocol } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { TimerWheel, WheelTimer } from '@rollcall/client/testing';
import type { Failure } from '@rollcall/client/testing';
import { PooledWay, SharedWay } from './channels.js';
import { bareClient, rollcallClient } from './clients.js';
import { Host } from './host.js';
import { GUARANTEE_WORLDS } from './guarantee-worlds.js';
import { breaches, compare, errorsOf, successes } from './guarantee.js';
import { isWithin, Loop, Network } from './network.js';
import type { Fault } from './network.js';
import { rollcallOverSockets } from './sockets.fixture.js';
import { callsOf, live } from './world.js';
import type { CallRecord, Traffic, World, WorldClient } from './world.js';

// The simulation has to be faithful, and the check has to detect breaches, or guarantee.test.ts proves nothing.

const chances = () => ({ time: new ManualTime(), random: seededRandom(3) });

const ONE_CALL: Traffic = {
  fromMs: 1_000,
  toMs: 1_000,
  atOnce: 1,
  method: 'find',
  deadlineMs: 5_000,
  isIdempotent: false,
  isSteady: true,
  workMs: 10,
};

/** One instance, 5 ms away, and one call. */
function worldOf(faults: readonly Fault[], load: Partial<Traffic> = {}): World {
  return {
    hosts: 1,
    workers: 2,
    callers: 1,
    delayMs: 5,
    seconds: 2,
    faults,
    catalog: [{ atMs: 0, kind: 'list', instances: [{ host: 0, deaths: 0, state: 'HEALTHY' }] }],
    loads: [{ ...ONE_CALL, ...load }],
  };
}

/** The result and the duration of each call. */
async function endingsOf(world: World, client: WorldClient): Promise<readonly string[]> {
  const records = await live(world, client, chances());
  return records.map(({ code, beganMs, endedMs }) => `${code} ${Math.round(endedMs - beganMs)}`);
}

/** The share of the calls with the same result, within 5 ms of each other. */
function similarity(one: readonly CallRecord[], other: readonly CallRecord[]): number {
  const alike = one.filter(({ code, endedMs }, place) => {
    const match = other[place];
    return match?.code === code && Math.abs(match.endedMs - endedMs) < 5;
  });
  return alike.length / Math.max(one.length, other.length);
}

const bare = (protocol: Protocol = 'tcp'): WorldClient => bareClient(protocol, 'round-robin');
const ours = (protocol: Protocol = 'tcp'): WorldClient => rollcallClient(protocol);
const span = (fromMs: number, toMs: number) => ({ fromMs, toMs, hosts: [0] });

/** True if a connection to an instance 300 ms away is late after 1.1 s, and the result of its request within 2.5 s. */
function traceOver(protocol: Protocol, connectTimeoutMs: number): readonly (string | null)[] {
  const time = new ManualTime();
  const log: string[] = [];
  const host = new Host({
    number: 0,
    time,
    workers: 1,
    faults: [],
    workOf: () => ({ ms: 1, outcome: 'answer' }),
    executed() {},
  });
  const network = new Network(time, 300, []);
  const parts = { network, loop: new Loop(time, []), host, connectTimeoutMs, expectedId: host.id, callOf: Number };
  const way = protocol === 'http' ? new PooledWay(parts, 128) : new SharedWay(parts, false);
  const sink = {
    next() {},
    last: () => log.push(`answer at ${time.now()}`),
    complete() {},
    fail: ({ kind }: Failure) => log.push(`${kind} at ${time.now()}`),
  };
  way.send(0, { remainingMs: 5_000, attempt: 1 }, sink);
  time.advance(1_100);
  const late = way.stall?.kind ?? null;
  time.advance(1_400);
  return [late, ...log];
}

describe('a connection', () => {
  it('takes a round trip, and another for the identity check', async () => {
    expect(await endingsOf(worldOf([]), bare())).toEqual(['success 30']);
    expect(await endingsOf(worldOf([]), ours())).toEqual(['success 40']);
  });

  it('is shared over TCP and gRPC, and one per call over HTTP', async () => {
    const world = worldOf([], { atOnce: 2, workMs: 10 });
    const later = { ...world, loads: [...world.loads, { ...ONE_CALL, fromMs: 1_100, toMs: 1_100, atOnce: 3 }] };
    expect(await endingsOf({ ...later, workers: 3 }, bare())).toEqual([
      'success 30',
      'success 30',
      'success 20',
      'success 20',
      'success 20',
    ]);
    // the third of the later ones has to open its own
    expect(await endingsOf({ ...later, workers: 3 }, bare('http'))).toEqual([
      'success 30',
      'success 30',
      'success 20',
      'success 20',
      'success 30',
    ]);
  });

  it('is accepted by the kernel of a paused process, which answers afterwards', async () => {
    expect(await endingsOf(worldOf([{ kind: 'pause', ...span(500, 1_600) }]), bare())).toEqual(['success 615']);
  });

  it.each(['tcp', 'http'] as const)('is abandoned after its timeout, if it has one, over %s', (protocol) => {
    expect(traceOver(protocol, 1_000)).toEqual(['unreachable', 'answer at 1801']);
    // 300 ms each way make 1.2 s for a connection and its identity
    expect(traceOver(protocol, 1_300)).toEqual([null, 'answer at 1801']);
  });

  it('is refused where no process listens, and breaks when one dies', async () => {
    expect(await endingsOf(worldOf([{ kind: 'dead', ...span(500, 3_000) }]), bare())).toEqual(['REFUSED 10']);
    expect(await endingsOf(worldOf([{ kind: 'dead', ...span(1_018, 3_000) }]), bare())).toEqual(['CLOSED 23']);
  });

  it('delivers its packets after a cut', async () => {
    expect(await endingsOf(worldOf([{ kind: 'cut', ...span(900, 2_000) }]), bare())).toEqual(['success 1230']);
  });
});

describe('a process', () => {
  it('handles at most `workers` requests at once, and the others in order', async () => {
    expect(await endingsOf(worldOf([], { atOnce: 5 }), bare())).toEqual([
      'success 30',
      'success 30',
      'success 40',
      'success 40',
      'success 50',
    ]);
  });

  it('can be slow, answer "overloaded", or refuse', async () => {
    expect(await endingsOf(worldOf([{ kind: 'slow', factor: 5, ...span(0, 2_000) }]), bare())).toEqual(['success 70']);
    const busy = worldOf([{ kind: 'overloaded', retryAfterMs: 100, ...span(0, 1_100) }]);
    expect(await endingsOf(busy, bare())).toEqual(['OVERLOADED 20']);
    expect(await endingsOf(worldOf([], { isRefused: true }), ours())).toEqual(['REMOTE 40']);
  });

  it('runs the handler once per request', async () => {
    const records = await live(worldOf([]), ours(), chances());
    expect(records.map(({ executions }) => executions)).toEqual([1]);
    const refused = await live(worldOf([{ kind: 'dead', ...span(0, 9_000) }]), bare(), chances());
    expect(refused.map(({ executions }) => executions)).toEqual([0]);
  });

  it('is recognised as a replacement by a client that checks the identity', async () => {
    const restarted = worldOf([{ kind: 'dead', ...span(100, 200) }], { deadlineMs: 300 });
    expect(await endingsOf(restarted, bare())).toEqual(['success 30']);
    const [record] = await live(restarted, ours(), chances());
    expect(record?.code).not.toBe('success');
    expect(record?.executions).toBe(0);
  });
});

describe('a paused caller', () => {
  it('runs its timers first, then what has arrived, then the timers set by these', () => {
    const time = new ManualTime();
    const loop = new Loop(time, [{ fromMs: 10, toMs: 100 }]);
    const log: string[] = [];
    loop.setTimer(20, () => {
      log.push('timer');
      loop.setTimer(0, () => log.push('next turn'));
    });
    time.setTimer(15, () => loop.deliver(() => log.push('answer')));
    time.advance(99);
    expect(log).toEqual([]);
    time.advance(10);
    expect(log).toEqual(['timer', 'answer', 'next turn']);
  });

  it('reads buffered responses before its deadline timers fire', () => {
    const time = new ManualTime();
    const loop = new Loop(time, [{ fromMs: 10, toMs: 1_000 }]);
    const wheel = new TimerWheel(loop);
    const log: string[] = [];
    class TestTimer extends WheelTimer {
      ring(): void {
        log.push('alarm');
      }
      stop(): void {}
    }
    wheel.arm(new TestTimer(), 500, 0);
    time.setTimer(400, () => loop.deliver(() => log.push('answer')));
    time.advance(2_000);
    expect(log).toEqual(['answer', 'alarm']);
  });

  it('makes its calls after the pause', async () => {
    const paused = worldOf([{ kind: 'caller-pause', fromMs: 500, toMs: 3_000 }]);
    const [record] = await live(paused, ours(), chances());
    expect(record).toMatchObject({ code: 'success', beganMs: 3_000 });
  });
});

describe('a run', () => {
  it('is the same for the same seed, with the same calls for every client', async () => {
    const [guaranteeWorld] = GUARANTEE_WORLDS.filter(({ name }) => name.startsWith('one is killed'));
    const world = guaranteeWorld?.world(3) ?? worldOf([]);
    const one = await live(world, ours(), chances());
    expect(await live(world, ours(), chances())).toEqual(one);
    expect((await live(world, bare(), chances())).map(({ planned }) => planned)).toEqual(
      one.map(({ planned }) => planned),
    );
    expect(callsOf(world, seededRandom(4))).not.toEqual(callsOf(world, seededRandom(3)));
  });

  describe.each(['tcp', 'http'] as const)('over the model of %s equals one over the transport itself', (protocol) => {
    it.each([
      'all REGISTERING and not listening yet',
      '300 ms each way from the start',
      'one is killed and comes back',
    ])('%s', async (name) => {
      const world = GUARANTEE_WORLDS.find((guaranteeWorld) => guaranteeWorld.name === name)?.world(1);
      if (world === undefined) throw new Error(`Unknown world: ${name}.`);
      const modelled = await live(world, ours(protocol), chances());
      const real = await live(world, rollcallOverSockets(protocol), chances());
      expect(similarity(modelled, real)).toBeGreaterThan(0.98);
    });
  });

  it('is the same for the same seed over undici, too', async () => {
    const world = worldOf([{ kind: 'pause', ...span(1_100, 2_500) }], { atOnce: 200 });
    const one = await live(world, rollcallOverSockets('http'), chances());
    expect(await live(world, rollcallOverSockets('http'), chances())).toEqual(one);
  });
});

describe('the check of the guarantee', () => {
  const world = { ...worldOf([], { atOnce: 20 }), workers: 20 };
  const breachesOf = async (client: WorldClient) =>
    breaches(world, await compare(world, 'tcp', chances, client)).join('; ');

  /** A bare client whose records are changed afterwards. */
  const tampered = (change: (record: CallRecord) => CallRecord) => async () => {
    const found = await compare(world, 'tcp', chances, bare());
    return breaches(world, { ...found, ours: found.ours.map(change) }).join('; ');
  };

  it('finds nothing in a run without a breach', async () => {
    expect(await breachesOf(ours())).toBe('');
  });

  it('detects calls that are lost', async () => {
    const found = tampered((one) => (one.planned.number === 7 ? { ...one, code: 'REMOTE' } : one));
    expect(await found()).toContain('19 of 20 calls succeed');
  });

  it('detects calls that are executed twice', async () => {
    const found = tampered((one) => (one.planned.number === 7 ? { ...one, executions: 2 } : one));
    expect(await found()).toContain('1 calls that are not idempotent were executed twice');
  });

  it('detects a client that retries calls that are not idempotent', async () => {
    const paused = GUARANTEE_WORLDS.find(({ name }) => name === 'a pause of one of three for 3 s')?.world(3) ?? world;
    const careless: WorldClient = {
      ...ours(),
      caller(site) {
        const caller = ours().caller(site);
        return {
          ready: () => caller.ready(),
          close: () => caller.close(),
          call: (planned, ended) => caller.call({ ...planned, load: { ...planned.load, isIdempotent: true } }, ended),
        };
      },
    };
    const found = breaches(paused, await compare(paused, 'tcp', chances, careless));
    expect(found.join('; ')).toContain('that are not idempotent were executed twice');
    expect(breaches(paused, await compare(paused, 'tcp', chances))).toEqual([]);
  });

  it('detects calls failed by a guess', async () => {
    const found = tampered((one) => (one.planned.number === 7 ? { ...one, code: 'BULKHEAD_FULL' } : one));
    expect(await found()).toContain('1 calls ended by a guess before their deadline: BULKHEAD_FULL 1');
  });

  it('detects calls that end after their deadline, or never', async () => {
    const found = tampered((one) => (one.planned.number === 7 ? { ...one, endedMs: Infinity } : one));
    expect(await found()).toContain('1 calls ended after their deadline, or never');
  });

  it('compares with the successes of a bare client in the same world', async () => {
    const dead = worldOf([{ kind: 'dead', fromMs: 0, toMs: 9_000, hosts: [0] }], { atOnce: 20 });
    const { bare: records, bareSuccesses } = await compare(dead, 'tcp', chances);
    expect([successes(records), bareSuccesses, errorsOf(records)]).toEqual([0, 0, 'REFUSED 20']);
    expect(dead.faults.some((fault) => isWithin(fault, 1_000))).toBe(true);
  });
});
