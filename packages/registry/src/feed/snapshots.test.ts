import type { Cursor, Frame, Instance } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { change, cursorAt, FeedBench, OTHER_EPOCH, reset, Sink } from './feed.fixture.js';
import type { Flush } from './feed.fixture.js';

describe('resuming', () => {
  it('sends the changes, including removals, of the resumed services, and a reset of the others', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    registry.put('orders', 'orders-2');
    const billing = registry.put('billing', 'billing-1');
    registry.put('orders', 'orders-3');
    const gone = registry.bury('orders', 'orders-1');
    const second = registry.put('orders', 'orders-2');
    const sink = registry.watch({ services: ['orders', 'billing'], resume: ['orders'], cursor: cursorAt(4) });
    expect(sink.take()).toEqual([change('orders', [second], [gone]), reset('billing', 6, [billing])]);
  });

  it('with nothing missed sends only a cursor', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    const sink = registry.watch({ services: ['orders'], resume: ['orders'], cursor: cursorAt(1) });
    expect(sink.flushes.at(-1)?.cursor).toEqual(cursorAt(1));
    expect(sink.take()).toEqual([]);
    const next = registry.put('orders', 'orders-1');
    registry.time.advance(100);
    expect(sink.take()).toEqual([change('orders', [next])]);
  });

  it.each([
    ['another epoch', cursorAt(1, OTHER_EPOCH)],
    ['a revision that was never assigned', cursorAt(9)],
    ['no cursor', null],
  ])('with %s gets a reset', (_what, cursor) => {
    const registry = new FeedBench(new ManualTime());
    const orders = registry.put('orders', 'orders-1');
    const sink = registry.watch({ services: ['orders'], resume: ['orders'], cursor });
    expect(sink.take()).toEqual([reset('orders', 1, [orders])]);
  });

  it('across a dropped tombstone sends a reset, as that removal can no longer be reported', () => {
    const registry = new FeedBench(new ManualTime());
    const orders = registry.put('orders', 'orders-1');
    registry.put('orders', 'orders-2');
    registry.bury('orders', 'orders-2');
    registry.forget('orders', 'orders-2');
    const late = registry.watch({ services: ['orders'], resume: ['orders'], cursor: cursorAt(2) });
    expect(late.take()).toEqual([reset('orders', 3, [orders])]);
    const inTime = registry.watch({ services: ['orders'], resume: ['orders'], cursor: cursorAt(3) });
    expect(inTime.take()).toEqual([]);
  });

  it('sends a reset of a service that did not exist at the cursor', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('billing', 'billing-1');
    const orders = registry.put('orders', 'orders-1');
    const sink = registry.watch({ services: ['orders'], resume: ['orders'], cursor: cursorAt(1) });
    expect(sink.take()).toEqual([reset('orders', 2, [orders])]);
  });

  it.each([['*'], ['orders']])('%s sends an empty reset for a service that was dropped in this epoch', (services) => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    registry.bury('orders', 'orders-1');
    registry.forget('orders', 'orders-1');
    const order = { services: [services], resume: ['orders'] };
    expect(registry.watch({ ...order, cursor: cursorAt(1) }).take()).toEqual([reset('orders', 2, [])]);
    const next = registry.put('orders', 'orders-2');
    expect(registry.watch({ ...order, cursor: cursorAt(2) }).take()).toEqual([reset('orders', 3, [next])]);
  });

  it('or watching * sends a reset of a service that appears again after nothing was left of it', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = registry.watch({ services: ['*'] });
    registry.put('orders', 'orders-1');
    registry.time.advance(100);
    registry.bury('orders', 'orders-1');
    registry.time.advance(100);
    registry.forget('orders', 'orders-1');
    sink.take();
    const again = registry.put('orders', 'orders-2');
    registry.time.advance(100);
    expect(sink.take()).toEqual([reset('orders', 3, [again])]);
  });

  it('* in another epoch reports an unknown service once the feed is settled', () => {
    const registry = new FeedBench(new ManualTime());
    const sink = registry.watch({ services: ['*'], resume: ['orders'], cursor: cursorAt(1, OTHER_EPOCH) });
    expect(sink.take()).toEqual([]);
    registry.feed.status({ settled: true });
    registry.time.advance(100);
    expect(sink.take()).toEqual([{ event: 'unknown', data: { namespace: 'default', service: 'orders' } }]);
  });

  it('works for everything with resume=*', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    registry.put('billing', 'billing-1');
    const next = registry.put('orders', 'orders-1');
    const sink = registry.watch({ services: ['*'], resume: ['*'], cursor: cursorAt(2) });
    expect(sink.take()).toEqual([change('orders', [next])]);
  });

  it('sends changes that were not flushed yet once', () => {
    const registry = new FeedBench(new ManualTime());
    registry.put('orders', 'orders-1');
    registry.time.advance(100);
    const next = registry.put('orders', 'orders-1');
    const sink = registry.watch({ services: ['orders'], resume: ['orders'], cursor: cursorAt(1) });
    expect(sink.take()).toEqual([change('orders', [next])]);
  });
});

// ---- S4, S5 ---------------------------------------------------------------------------------------------------------

/** The latest version of an instance; null: it was removed. */
interface Word {
  readonly revision: number;
  readonly instance: Instance | null;
}

/** A client that follows the contract and remembers its cursor. */
class Client {
  readonly known = new Map<string, Map<string, Word>>();
  readonly #parts = new Map<string, Instance[]>();
  cursor: Cursor | null = null;
  problem: string | null = null;

  read({ frames, cursor }: Flush): void {
    const seen = new Set<string>();
    for (const { frame } of frames) {
      if (frame.event === 'reset') this.#reset(frame.data);
      if (frame.event !== 'change') continue;
      for (const word of [...frame.data.upsert, ...frame.data.remove]) {
        if (seen.has(word.id)) this.problem = `${word.id} twice in a flush`;
        seen.add(word.id);
      }
      for (const one of frame.data.upsert) this.#apply(one.service, one.id, one.revision, one);
      for (const one of frame.data.remove) this.#apply(frame.data.service, one.id, one.revision, null);
    }
    if (this.cursor !== null && cursor.revision < this.cursor.revision) this.problem = 'the cursor went back';
    this.cursor = cursor;
  }

  ids(service: string): readonly string[] {
    const view = [...(this.known.get(service) ?? [])];
    return view.flatMap(([id, { instance, revision }]) => (instance === null ? [] : [`${id}@${revision}`])).toSorted();
  }

  #reset(data: (Frame & { event: 'reset' })['data']): void {
    const before = data.part === 0 ? [] : (this.#parts.get(data.service) ?? []);
    const instances = [...before, ...data.instances];
    this.#parts.set(data.service, instances);
    if (!data.complete) return;
    this.#parts.delete(data.service);
    const view = new Map<string, Word>();
    for (const { id, revision } of data.removed ?? []) view.set(id, { revision, instance: null });
    for (const instance of instances) view.set(instance.id, { revision: instance.revision, instance });
    this.known.set(data.service, view);
  }

  #apply(service: string, id: string, revision: number, instance: Instance | null): void {
    const view = this.known.get(service);
    if (view === undefined) this.problem = `a change of ${service} before its reset`;
    const before = view?.get(id)?.revision ?? 0;
    if (revision < before) this.problem = `${id} went back from ${before} to ${revision}`;
    if (revision > before) view?.set(id, { revision, instance });
  }
}

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), service: fc.nat(2), id: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('bury' as const), service: fc.nat(2), id: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), service: fc.nat(2), id: fc.nat(5) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fill' as const), bytes: fc.nat(700_000) }) },
);
const SERVICES = ['orders', 'billing', 'users'];

describe('any sequence of changes', () => {
  it.each([['*'], ['orders,billing,users']])(
    'S4, S5: a client of %s that loses its stream at any time ends with exactly the view of the registry',
    (services) => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, isLarge) => {
          const registry = new FeedBench(new ManualTime());
          const client = new Client();
          const more = isLarge ? { metadata: { note: 'x'.repeat(60_000) } } : {};
          const connect = (): Sink => {
            const sink = new Sink();
            sink.waiting = 0;
            sink.onFlush = (flush) => client.read(flush);
            const resume = [...client.known.keys()];
            registry.connect({ services: services.split(','), resume, cursor: client.cursor }, sink);
            return sink;
          };
          let sink = connect();
          for (const one of steps) {
            const service = SERVICES['service' in one ? one.service : 0] ?? '';
            const id = 'id' in one ? `${service}-${one.id}` : '';
            const isUp = registry.instances('default', service).some((instance) => instance.id === id);
            if (one.do === 'put') registry.put(service, id, more);
            else if (one.do === 'bury' && isUp) registry.bury(service, id);
            else if (one.do === 'forget') registry.forget(service, id);
            else if (one.do === 'fill') sink.waiting = one.bytes;
            else if (one.do === 'wait') {
              registry.time.advance(one.ms);
              sink.waiting = 0;
            } else if (one.do === 'cut') {
              sink.watcher?.closed();
              sink = connect();
            }
          }
          for (let settle = 0; settle < 40; settle += 1) {
            sink.waiting = 0;
            registry.time.advance(20);
          }
          expect(client.problem).toBe(null);
          for (const service of SERVICES) {
            const truth = registry.instances('default', service).map(({ id, revision }) => `${id}@${revision}`);
            expect(client.ids(service)).toEqual(truth.toSorted());
          }
        }),
        { numRuns: 150 },
      );
    },
  );
});
