import { ServiceSnapshot } from '@rollcall/core';
import type { Cursor } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FeedBench, Sink } from './feed.fixture.js';
import type { Flush } from './feed.fixture.js';

// Compares the feed and the copies of its clients with the simplest possible model: S4, S5 and S6.

const SERVICES = ['orders', 'billing', 'users'] as const;
const IDS = [0, 1, 2, 3] as const;
const READERS = [['orders'], ['orders', 'billing'], ['*']] as const;
const epochOf = (life: number): string => `0192f000-0000-7000-8000-${String(life).padStart(12, '0')}`;
const idOf = (service: string, n: number): string => `${service}-${n}`;

/** The truth: the last revision of each present instance, and the instances removed since the last comparison. */
interface Model {
  readonly up: Map<string, number>;
  readonly buried: Set<string>;
  /** True once another epoch has begun; true once a tombstone was dropped. */
  hasRestarted: boolean;
  hasDropped: boolean;
  /** True once a client may know an instance that the current registry does not. */
  hasForgotten: boolean;
}

/** A client with its copy of each watched service, kept as in the client package. */
class Reader {
  services: readonly string[];
  snapshots = new Map<string, ServiceSnapshot>();
  /** The instances it knew at the last comparison. */
  known = new Map<string, ReadonlySet<string>>();
  #sink = new Sink();
  #cursor: Cursor | null = null;
  #held: readonly string[] = [];
  /** The newest revision of an instance that this stream sent in a change; at first the one it resumed from. */
  #sentRevisions = new Map<string, number>();
  #resumedFrom = new Map<string, number>();
  /** The last cursor of this stream. */
  #marked: Cursor | null = null;

  constructor(services: readonly string[]) {
    this.services = services;
  }

  /** Changes the services of the next stream. It drops services it no longer wants, as they are not kept current. */
  watchServices(services: readonly string[]): void {
    this.services = services;
    for (const name of this.snapshots.keys()) {
      if (this.watches(name)) continue;
      this.snapshots.delete(name);
      this.known.delete(name);
    }
  }

  /** Reconnects, make-before-break or after a cut. */
  connect({ feed }: FeedBench): void {
    const cursor = this.#cursor;
    const names = this.services.includes('*') ? [...this.snapshots.keys()] : this.services;
    const isHeld = (name: string): boolean => this.#held.includes(name) || this.#held.includes('*');
    const resume = cursor === null ? [] : names.filter((name) => isHeld(name) && this.#of(name).canResume(cursor));
    const sink = new Sink();
    sink.waiting = 0;
    sink.onFlush = (flush) => {
      if (sink === this.#sink) this.#read(flush);
    };
    this.cut();
    this.#sink = sink;
    this.#sentRevisions = new Map();
    this.#marked = null;
    this.#resumedFrom = new Map(resume.map((name) => [name, cursor?.revision ?? 0]));
    const order = { namespace: 'default', services: this.services, resume, cursor, line: null };
    sink.watcher = feed.watch(order, sink);
  }

  cut(): void {
    this.#sink.watcher?.closed();
    this.#sink.isEnded = true;
  }

  /** The peer reads nothing for a while. */
  fill(bytes: number): void {
    this.#sink.waiting = bytes;
  }

  /** Reads everything, on a new stream if it has none. */
  drain(registry: FeedBench): void {
    if (this.#sink.isEnded) this.connect(registry);
    for (let round = 0; round < 30; round += 1) {
      this.#sink.waiting = 0;
      registry.time.advance(20);
    }
  }

  /** A service that the current epoch has not sent is not confirmed by it. */
  confirmed(service: string): readonly string[] {
    const snapshot = this.#of(service);
    if (snapshot.epoch !== this.#marked?.epoch) return [];
    return snapshot.instances
      .filter(({ id }) => !snapshot.isUnconfirmed(id))
      .map(({ id, revision }) => `${id}@${revision}`)
      .toSorted();
  }

  ids(service: string): ReadonlySet<string> {
    return new Set(this.#of(service).instances.map(({ id }) => id));
  }

  watches(service: string): boolean {
    return this.services.includes(service) || this.services.includes('*');
  }

  #of(service: string): ServiceSnapshot {
    const known = this.snapshots.get(service) ?? new ServiceSnapshot();
    this.snapshots.set(service, known);
    return known;
  }

  #read({ frames, cursor }: Flush): void {
    const inFlush = new Set<string>();
    for (const { frame } of frames) {
      if (frame.event === 'change') {
        for (const { id, revision } of [...frame.data.upsert, ...frame.data.remove]) {
          expect(inFlush, 'an instance occurs once in a flush').not.toContain(id);
          inFlush.add(id);
          const lastSent = this.#sentRevisions.get(id) ?? this.#resumedFrom.get(frame.data.service) ?? 0;
          expect(revision, `${id}: sent once, in order`).toBeGreaterThan(lastSent);
          this.#sentRevisions.set(id, revision);
        }
      }
      if (frame.event === 'reset') this.#resumedFrom.delete(frame.data.service);
      if (frame.event === 'reset' || frame.event === 'change' || frame.event === 'unknown') {
        const snapshot = this.#of(frame.data.service);
        const before = { epoch: snapshot.epoch, revision: snapshot.revision };
        expect(snapshot.apply(frame), 'the protocol is followed').not.toBe('broken');
        if (snapshot.epoch === before.epoch) expect(snapshot.revision).toBeGreaterThanOrEqual(before.revision);
      }
    }
    expect(cursor.revision, 'a cursor never goes back').toBeGreaterThanOrEqual(this.#marked?.revision ?? 0);
    this.#marked = cursor;
    this.#cursor = cursor;
    this.#held = this.services;
  }
}

/** The current registry and its readers. */
class Real {
  registry = new FeedBench(new ManualTime());
  readonly readers = READERS.map((services) => new Reader(services));
  #lives = 1;

  constructor() {
    this.registry = this.registry.restart(epochOf(this.#lives));
    for (const reader of this.readers) reader.connect(this.registry);
  }

  /** Starts another epoch; from an empty store if `keeps` is false. */
  restart(keeps: boolean): void {
    this.#lives += 1;
    for (const reader of this.readers) reader.cut();
    const epoch = epochOf(this.#lives);
    this.registry = keeps ? this.registry.restart(epoch) : new FeedBench(this.registry.time).restart(epoch);
  }
}

type Command = fc.Command<Model, Real>;
const command = (
  label: string,
  run: (model: Model, real: Real) => void,
  check?: (model: Model) => boolean,
): Command => ({
  check: (model) => check?.(model) ?? true,
  run,
  toString: () => label,
});

const put = (service: string, n: number, isLarge: boolean): Command =>
  command(`put ${idOf(service, n)}`, (model, { registry }) => {
    const id = idOf(service, n);
    const { revision } = registry.put(service, id, isLarge ? { metadata: { note: 'x'.repeat(60_000) } } : {});
    model.up.set(id, revision);
  });

const bury = (service: string, n: number): Command =>
  command(
    `bury ${idOf(service, n)}`,
    (model, { registry }) => {
      const id = idOf(service, n);
      registry.bury(service, id);
      model.up.delete(id);
      model.buried.add(id);
    },
    (model) => model.up.has(idOf(service, n)),
  );

const forget = (service: string, n: number): Command =>
  command(`forget ${idOf(service, n)}`, (model, { registry }) => {
    registry.forget(service, idOf(service, n));
    model.hasDropped = true;
    if (model.hasRestarted) model.hasForgotten = true;
  });

const wait = (ms: number): Command => command(`wait ${ms}`, (_, { registry }) => registry.time.advance(ms));

const status = (settled: boolean): Command =>
  command(`settled ${settled}`, (_, { registry }) => registry.feed.status({ settled }));

const cut = (reader: number): Command => command(`cut ${reader}`, (_, { readers }) => readers[reader]?.cut());

const watch = (reader: number, services: readonly string[]): Command =>
  command(`watch ${reader} ${services.join(',')}`, (_, { registry, readers }) => {
    const one = readers[reader];
    if (one === undefined) return;
    if (services.length > 0 && !one.services.includes('*')) one.watchServices(services);
    one.connect(registry);
  });

const fill = (reader: number, bytes: number): Command =>
  command(`fill ${reader} ${bytes}`, (_, { readers }) => readers[reader]?.fill(bytes));

const restart = (keeps: boolean): Command =>
  command(`restart ${keeps ? 'full' : 'empty'}`, (model, real) => {
    real.restart(keeps);
    model.hasRestarted = true;
    if (!keeps) model.up.clear();
    if (!keeps || model.hasDropped) model.hasForgotten = true;
  });

/** Every reader reads everything: then every copy equals the truth, except for removals that were never reported. */
const compare = (): Command =>
  command('compare', (model, { registry, readers }) => {
    for (const reader of readers) {
      reader.drain(registry);
      for (const service of SERVICES) {
        if (!reader.watches(service)) continue;
        const truth = [...model.up]
          .filter(([id]) => id.startsWith(service))
          .map(([id, revision]) => `${id}@${revision}`);
        expect(reader.confirmed(service), service).toEqual(truth.toSorted());
        const known = reader.ids(service);
        const staying = [...(reader.known.get(service) ?? [])].filter((id) => !model.buried.has(id));
        expect([...known], 'no instance disappears without a removal').toEqual(expect.arrayContaining(staying));
        if (!model.hasForgotten) expect(known.size, 'all are confirmed').toBe(truth.length);
        reader.known.set(service, known);
      }
    }
    model.buried.clear();
  });

const service = fc.constantFrom(...SERVICES);
const n = fc.constantFrom(...IDS);
const reader = fc.nat(READERS.length - 1);
const commands = [
  fc.tuple(service, n, fc.boolean()).map((words) => put(...words)),
  fc.tuple(service, n, fc.boolean()).map((words) => put(...words)),
  fc.tuple(service, n).map((words) => bury(...words)),
  fc.tuple(service, n).map((words) => forget(...words)),
  fc.nat(60).map(wait),
  fc.boolean().map(status),
  reader.map(cut),
  fc.tuple(reader, fc.subarray([...SERVICES])).map((words) => watch(...words)),
  fc.tuple(reader, fc.nat(700_000)).map((words) => fill(...words)),
  fc.constant(compare()),
];
const restarts = fc.oneof(
  { weight: 1, arbitrary: fc.boolean().map(restart) },
  { weight: 9, arbitrary: fc.oneof(...commands) },
);

function holds(one: fc.Arbitrary<fc.Command<Model, Real>>[]): void {
  fc.assert(
    fc.property(fc.commands(one, { maxCommands: 60, size: 'max' }), (all) => {
      const model: Model = {
        up: new Map(),
        buried: new Set(),
        hasRestarted: false,
        hasDropped: false,
        hasForgotten: false,
      };
      const setup = () => ({ model, real: new Real() });
      fc.modelRun(setup, [...all, compare()]);
    }),
    { numRuns: 400 },
  );
}

describe('any sequence of operations', () => {
  it('S4, S5: within an epoch every copy converges to the registry’s view, and nothing is sent twice or out of order', () => {
    holds(commands);
  });

  it('S6: copies converge across epochs, and a known instance is removed only by a tombstone', () => {
    holds([...commands, restarts]);
  });
});
