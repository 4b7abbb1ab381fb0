import type { Problem } from '@rollcall/core';
import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Rollcall } from '../rollcall.js';
import { FailoverClient } from './failover.js';
import { createInstance, problemOf, resetFrame, FakeLink } from './registry-client.fixture.js';
import type { FakeStream } from './registry-client.fixture.js';
import type { RegistryClient, Watch, WatchRequest, WatchSink } from './registry-client.js';
import type { RegistryOrder } from './registry-order.js';

const EPOCHS = {
  a: '0192f3a0-0000-7000-8000-00000000000a',
  b: '0192f3a0-0000-7000-8000-00000000000b',
  c: '0192f3a0-0000-7000-8000-00000000000c',
};

/** A registry with the instances registered at it, and one instance of `orders` of its own. */
class Registry extends FakeLink {
  state: 'up' | 'down' | 'starting' = 'up';
  readonly known = new Set<string>();
  readonly #time: ManualTime;
  readonly #letter: 'a' | 'b' | 'c';

  constructor(letter: 'a' | 'b' | 'c', time: ManualTime) {
    super(`http://${letter}.test`);
    this.#letter = letter;
    this.#time = time;
    this.onRegister = ({ id }) => {
      const reply = this.#reply(null);
      if (reply !== 'unreachable' && reply.ok) this.known.add(id);
      return reply;
    };
    this.onSuspect = () => this.#reply(problemOf('NOT_FOUND'));
  }

  /** The effects of a crash for its peers, and of a restart without data. */
  crash(): void {
    this.state = 'down';
    this.known.clear();
    for (const stream of this.streams) stream.end();
  }

  override watch(request: WatchRequest, sink: WatchSink): Watch {
    const stream = super.watch(request, sink) as FakeStream;
    this.#time.setTimer(0, () => this.#settle(stream, request));
    return stream;
  }

  #settle(stream: FakeStream, { services, line }: WatchRequest): void {
    if (stream.isClosed) return;
    if (this.state === 'down') stream.end();
    else if (this.state === 'starting') stream.end(problemOf('NOT_READY'));
    else if (line !== null && !this.known.has(line.id)) stream.end(problemOf('NOT_FOUND'));
    else {
      const epoch = EPOCHS[this.#letter];
      const mine = resetFrame([createInstance({ id: `orders-${this.#letter}` })], 1, epoch);
      stream.accept(services.includes('orders') ? [mine] : [], 1, epoch);
    }
  }

  #reply(problem: Problem | null): ReturnType<FakeLink['onSuspect']> {
    if (this.state === 'down') return 'unreachable';
    if (this.state === 'starting') return { ok: false, problem: problemOf('NOT_READY') };
    return problem === null ? { ok: true, value: null } : { ok: false, problem };
  }
}

function setUp(options: { order?: RegistryOrder; service?: string } = {}) {
  const time = new ManualTime();
  const log = recordingLog();
  const [a, b, c] = [new Registry('a', time), new Registry('b', time), new Registry('c', time)];
  for (const registry of [a, b, c]) {
    registry.onBeat = () => {
      if (registry.state === 'down') return 'unreachable';
      const isKnown = registry.known.size > 0;
      return isKnown
        ? { ok: true, value: { state: 'HEALTHY', revision: 2 } }
        : { ok: false, problem: problemOf('NOT_FOUND') };
    };
  }
  const random = seededRandom(3);
  const { order = 'listed', service } = options;
  const link: RegistryClient = new FailoverClient({ links: [a, b, c], order, time, random, log });
  const rollcall = new Rollcall({ service }, { time, random, log, link });
  return { time, log, a, b, c, link, rollcall };
}

const idsOf = (rollcall: Rollcall): readonly string[] =>
  rollcall
    .service('orders')
    .instances.map(({ id }) => id)
    .toSorted();

/** Watches `orders` at the first registry. */
async function watching(options: Parameters<typeof setUp>[0] = {}) {
  const world = setUp(options);
  world.rollcall.service('orders');
  world.rollcall.start();
  await world.time.advanceBy(1);
  return world;
}

describe('FailoverClient, the current registry', () => {
  it('is the first one, and no other, while it is reachable', async () => {
    const { a, b, c, rollcall, time } = await watching();
    await time.advanceBy(600_000);
    expect(idsOf(rollcall)).toEqual(['orders-a']);
    expect([b, c].flatMap(({ streams, suspicions }) => [...streams, ...suspicions])).toEqual([]);
    expect(a.streams).toHaveLength(1);
    expect(time.pending().background).toBeLessThan(3);
  });

  it('is the next one at once if the first is unreachable from the start', async () => {
    const { a, rollcall, time, log } = setUp();
    a.state = 'down';
    rollcall.service('orders');
    rollcall.start();
    await time.advanceBy(1);
    expect(time.now()).toBe(1);
    expect(idsOf(rollcall)).toEqual(['orders-b']);
    expect(rollcall.status).toBe('connected');
    expect(log.texts('warn')).toEqual([]);
    expect(log.texts('info')).toEqual([
      'Now using the registry at http://b.test, instead of the one at http://a.test.',
    ]);
  });

  it('is the next one within the first wait if the first crashes, and no instance is lost', async () => {
    const { a, rollcall, time } = await watching();
    a.crash();
    expect(rollcall.service('orders').stale).toBe(true);
    await time.advanceBy(101);
    expect(rollcall.service('orders').stale).toBe(false);
    // instances that the second does not know are unconfirmed, and kept
    expect(idsOf(rollcall)).toEqual(['orders-a', 'orders-b']);
  });

  it('is tried once per round for each if all are unreachable, with a wait between rounds, and that is logged once', async () => {
    const { a, b, c, rollcall, time, log } = setUp();
    for (const registry of [a, b, c]) registry.state = 'down';
    rollcall.service('orders');
    rollcall.start();
    await time.advanceBy(5);
    expect([a, b, c].map(({ streams }) => streams.length)).toEqual([1, 1, 1]);
    await time.advanceBy(60_000);
    const rounds = a.streams.length;
    expect([b, c].map(({ streams }) => streams.length)).toEqual([rounds, rounds]);
    expect(rounds).toBeGreaterThan(15);
    expect(rounds).toBeLessThan(120);
    expect(log.texts('warn')).toEqual([expect.stringContaining('http://a.test, http://b.test, http://c.test')]);
    c.state = 'up';
    await time.advanceBy(4_001);
    expect(idsOf(rollcall)).toEqual(['orders-c']);
  });

  it('is another one while the first is starting', async () => {
    const { a, rollcall, time } = setUp();
    a.state = 'starting';
    rollcall.service('orders');
    rollcall.start();
    await time.advanceBy(1);
    expect(idsOf(rollcall)).toEqual(['orders-b']);
  });

  it('is the one with the stream, even if single requests to it fail', async () => {
    const { a, b, link, time } = await watching();
    a.onRegister = () => 'unreachable';
    a.onBeat = () => 'unreachable';
    const proof = { id: 'x', secret: 'y' };
    await expect(link.register({ id: 'x', service: 'x', endpoints: [] })).rejects.toThrow('ECONNREFUSED');
    await expect(link.beat(proof, { nonce: null, seq: 1 })).rejects.toThrow('ECONNREFUSED');
    await time.advanceBy(1_000);
    expect([b.registrations, b.beats, b.streams]).toEqual([[], [], []]);
  });

  it('changes if one after the other freezes: this does not count as streams that are held back', async () => {
    const { a, b, c, rollcall, time } = await watching();
    a.stream.fallSilent();
    await time.advanceBy(101);
    b.stream.fallSilent();
    await time.advanceBy(201);
    expect(c.stream.isClosed).toBe(false);
    expect(rollcall.status).toBe('connected');
    expect([a, b, c].flatMap(({ polls }) => polls)).toEqual([]);
  });

  it('is polled if the streams of all of them are held back', async () => {
    const { a, b, c, time } = await watching();
    for (const registry of [a, b, c, a]) {
      registry.stream.fallSilent();
      await time.advanceBy(201);
    }
    expect([a, b, c].flatMap(({ polls }) => polls)).toHaveLength(1);
  });

  it('is not the one whose stream became silent', async () => {
    const { a, rollcall, time } = await watching();
    a.stream.fallSilent();
    await time.advanceBy(101);
    expect(a.streams).toHaveLength(1);
    expect(idsOf(rollcall)).toContain('orders-b');
  });
});

describe('FailoverClient, an instance', () => {
  it('registers with the next registry when its own crashes, as the same instance, and sends its beats to that one', async () => {
    const { a, b, rollcall, time } = setUp({ service: 'users' });
    rollcall.register([{ protocol: 'tcp', port: 3001 }]);
    await time.advanceBy(6_000);
    expect(a.known).toEqual(new Set([rollcall.id]));
    expect(b.registrations).toEqual([]);
    a.crash();
    await time.advanceBy(6_000);
    expect(b.known).toEqual(new Set([rollcall.id]));
    expect(b.stream.request.line).toMatchObject({ id: rollcall.id });
    expect(b.stream.isClosed).toBe(false);
    const before = b.beats.length;
    await time.advanceBy(10_000);
    expect(b.beats.length).toBeGreaterThanOrEqual(before + 2);
    expect(rollcall.state).toBe('HEALTHY');
  });

  it('registers with a reachable registry if the first is not', async () => {
    const { a, b, c, rollcall, time } = setUp({ service: 'users' });
    a.state = 'down';
    b.state = 'starting';
    rollcall.register([{ protocol: 'tcp', port: 3001 }]);
    await time.advanceBy(10);
    expect(c.known).toEqual(new Set([rollcall.id]));
  });

  it('finds another registry if the one that refused its line crashes before it could register there', async () => {
    const { a, b, c, rollcall, time } = setUp({ service: 'users' });
    rollcall.register([{ protocol: 'tcp', port: 3001 }]);
    await time.advanceBy(6_000);
    a.crash();
    await time.advanceBy(105);
    b.state = 'down';
    await time.advanceBy(30_000);
    expect(c.known).toEqual(new Set([rollcall.id]));
  });

  it('deregisters where it is registered', async () => {
    const { a, b, rollcall, time } = setUp({ service: 'users' });
    a.state = 'down';
    rollcall.register([{ protocol: 'tcp', port: 3001 }]);
    await time.advanceBy(10);
    await rollcall.drain({ deadlineMs: 100 });
    await rollcall.close();
    expect([a.goodbyes.length, b.drains.length, b.goodbyes.length]).toEqual([0, 1, 1]);
  });
});

describe('FailoverClient, back to the first', () => {
  it('returns within 45 s once the first is reachable again, so that all processes use the same registry', async () => {
    const { a, b, rollcall, time, log } = await watching();
    a.crash();
    await time.advanceBy(60_000);
    expect(b.stream.isClosed).toBe(false);
    a.state = 'up';
    await time.advanceBy(45_101);
    expect(b.stream.isClosed).toBe(true);
    expect(a.stream.isClosed).toBe(false);
    expect(rollcall.service('orders').stale).toBe(false);
    expect(log.texts('info').at(-1)).toBe(
      'Now using the registry at http://a.test, instead of the one at http://b.test.',
    );
    const suspicionCount = a.suspicions.length;
    await time.advanceBy(600_000);
    expect(a.suspicions).toHaveLength(suspicionCount);
  });

  it('does not return to a registry that is still starting', async () => {
    const { a, b, time } = await watching();
    a.crash();
    a.state = 'starting';
    await time.advanceBy(120_000);
    expect(b.stream.isClosed).toBe(false);
    expect(a.suspicions.length).toBeGreaterThan(1);
  });

  it('also moves the instance', async () => {
    const { a, rollcall, time } = setUp({ service: 'users' });
    rollcall.register([{ protocol: 'tcp', port: 3001 }]);
    await time.advanceBy(6_000);
    a.crash();
    await time.advanceBy(10_000);
    a.state = 'up';
    await time.advanceBy(55_000);
    expect(a.known).toEqual(new Set([rollcall.id]));
    expect(a.stream.request.line).toMatchObject({ id: rollcall.id });
  });

  it('stays at its registry if the order is random', async () => {
    const world = await watching({ order: 'random' });
    const first = [world.a, world.b, world.c].find(({ streams }) => streams.length > 0);
    first?.crash();
    await world.time.advanceBy(200);
    if (first !== undefined) first.state = 'up';
    await world.time.advanceBy(600_000);
    expect(first?.streams.some(({ isClosed }) => !isClosed)).toBe(false);
    expect(world.rollcall.service('orders').stale).toBe(false);
  });
});

describe('FailoverClient, polling', () => {
  const question = { namespace: 'default', service: 'orders', revision: null, waitMs: 0 };

  it('asks the next registry if there is no answer', async () => {
    const { a, b, link } = setUp();
    const answer = link.poll?.({ ...question, signal: new AbortController().signal });
    await a.lastPoll.reply('unreachable');
    await b.lastPoll.reply({ ok: false, problem: problemOf('NOT_FOUND') });
    await expect(answer).resolves.toMatchObject({ ok: false, problem: { code: 'NOT_FOUND' } });
  });

  it('asks no other registry once the request is aborted', async () => {
    const { a, b, link } = setUp();
    const over = new AbortController();
    const answer = link.poll?.({ ...question, signal: over.signal });
    over.abort();
    await a.lastPoll.reply('unreachable');
    await expect(answer).rejects.toThrow('ECONNREFUSED');
    expect(b.polls).toEqual([]);
  });

  it('is offered only if each registry offers it', () => {
    const time = new ManualTime();
    const one = new FakeLink();
    const without: RegistryClient = Object.assign(new FakeLink(), { poll: undefined });
    const parts = { order: 'listed', time, random: seededRandom(1), log: recordingLog() } as const;
    expect(new FailoverClient({ ...parts, links: [one, without] }).poll).toBeUndefined();
  });
});

type FailureEvent = 'down' | 'up' | 'starting' | 'silent' | 'cut';

describe('FailoverClient, any sequence of failures', () => {
  const steps = fc.array(
    fc.record({
      registry: fc.constantFrom('a' as const, 'b' as const, 'c' as const),
      what: fc.constantFrom<FailureEvent>('down', 'up', 'starting', 'silent', 'cut'),
      afterMs: fc.nat(20_000),
    }),
    { maxLength: 12 },
  );
  // with more failures in a row, the streams would count as held back
  const few = steps.filter((faults) => faults.filter(({ what }) => what === 'silent').length <= 2);

  const apply = (registry: Registry, what: FailureEvent): void => {
    const stream = registry.streams.find(({ isClosed }) => !isClosed);
    // an instance that starts was not running before
    if (what === 'down' || what === 'starting') registry.crash();
    if (what === 'silent') stream?.fallSilent();
    else if (what === 'cut') stream?.end();
    else if (what === 'up' || what === 'starting') registry.state = what;
  };

  it('an instance is registered, and a caller connected, soon after a registry is reachable, with one stream each', async () => {
    const order = fc.constantFrom('listed' as const, 'random' as const);
    await fc.assert(
      fc.asyncProperty(order, few, async (how, faults) => {
        const world = setUp({ order: how, service: 'users' });
        const { a, b, c, rollcall, time } = world;
        rollcall.service('orders');
        rollcall.register([{ protocol: 'tcp', port: 3001 }]);
        for (const { registry, what, afterMs } of faults) {
          await time.advanceBy(afterMs);
          apply(world[registry], what);
        }
        b.state = 'up';
        await time.advanceBy(60_000);
        const open = [a, b, c].flatMap(({ streams }) => streams.filter(({ isClosed }) => !isClosed));
        expect(open).toHaveLength(1);
        expect(open[0]?.request).toMatchObject({ services: ['orders'], line: { id: rollcall.id } });
        expect(rollcall.service('orders').stale).toBe(false);
        const requestCount = [a, b, c].flatMap(({ streams, registrations }) => [...streams, ...registrations]).length;
        // a round of three takes up to 4 s, about 2 s in the mean
        expect(requestCount).toBeLessThan(60 + (3 * time.now()) / 500);
        await rollcall.close();
        expect(time.pending()).toEqual({ foreground: 0, background: 0 });
        expect(open[0]?.isClosed).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe('FailoverClient, closing', () => {
  it('closes all streams, and leaves no timer', async () => {
    const { a, b, c, rollcall, time } = await watching();
    a.crash();
    await time.advanceBy(200);
    await rollcall.close();
    expect([a, b, c].map(({ isClosed }) => isClosed)).toEqual([true, true, true]);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});
