import { noMeter, silentLog } from '@rollcall/core';
import type { Cursor, Frame, Instance, Log, Meter, Time, Tombstone } from '@rollcall/core';
import type { SharedFrame, WatcherSink, WatchOrder } from '../registry-api.js';
import { Feed } from './feed.js';
import type { FeedWatcher } from './feed.js';
import type { ServiceRef } from './frames.js';
import type { FeedView } from './snapshots.js';

export const EPOCH = '0192f000-0000-7000-8000-000000000001';
export const OTHER_EPOCH = '0192f000-0000-7000-8000-000000000002';

const TEMPLATE: Instance = {
  id: '',
  service: '',
  namespace: 'default',
  endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3001, tls: false }],
  version: '',
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
  revision: 0,
};

export function instanceOf(service: string, id: string, revision: number, more: Partial<Instance> = {}): Instance {
  return { ...TEMPLATE, service, id, revision, ...more };
}

interface ServiceContents {
  readonly ref: ServiceRef;
  readonly up: Map<string, Instance>;
  readonly gone: Map<string, Tombstone>;
}

/** A clock that the test advances: ManualTime. */
interface Clock extends Time {
  advance(ms: number): void;
  pending(): { readonly foreground: number; readonly background: number };
}

/** A registry reduced to its feed, with a view and the operations that change it. */
export class FeedBench implements FeedView {
  readonly feed: Feed;
  readonly time: Clock;
  readonly #services = new Map<string, ServiceContents>();

  // eslint-disable-next-line max-params -- all parameters but the clock have defaults
  constructor(time: Clock, meter: Meter = noMeter, log: Log = silentLog, epoch = EPOCH) {
    this.time = time;
    this.feed = new Feed({ time, epoch, view: this, meter, log });
  }

  /** Another epoch of a registry whose store survived: everything else is unchanged. Ends the first. */
  restart(epoch: string): FeedBench {
    this.feed.close();
    const next = new FeedBench(this.time, noMeter, silentLog, epoch);
    for (const [key, { ref, up, gone }] of this.#services) {
      next.#services.set(key, { ref, up: new Map(up), gone: new Map(gone) });
    }
    next.feed.startAt(this.feed.revision);
    return next;
  }

  instances(namespace: string, service: string): readonly Instance[] {
    return [...this.#of(namespace, service).up.values()];
  }

  tombstones(namespace: string, service: string): readonly Tombstone[] {
    return [...this.#of(namespace, service).gone.values()];
  }

  has(namespace: string, service: string): boolean {
    const { up, gone } = this.#of(namespace, service);
    return up.size + gone.size > 0;
  }

  services(namespace: string): readonly ServiceRef[] {
    const known = [...this.#services.values()].filter(({ up, gone }) => up.size + gone.size > 0);
    return known.map(({ ref }) => ref).filter((ref) => namespace === '*' || ref.namespace === namespace);
  }

  /** A new or changed instance. */
  put(service: string, id: string, more: Partial<Instance> = {}): Instance {
    const instance = instanceOf(service, id, this.feed.nextRevision(), more);
    const { up, gone } = this.#of(instance.namespace, service);
    up.set(id, instance);
    gone.delete(id);
    this.feed.publish(instance);
    return instance;
  }

  /** Removes an instance. Returns the public tombstone; the stored one has more fields. */
  bury(service: string, id: string): Tombstone {
    const tombstone: Tombstone = {
      id,
      revision: this.feed.nextRevision(),
      reason: { code: 'GOODBYE', text: 'it left' },
    };
    const kept = { ...tombstone, secretHash: 'ab'.repeat(32) };
    const { up, gone } = this.#of('default', service);
    up.delete(id);
    gone.set(id, kept);
    this.feed.bury('default', service, kept);
    return tombstone;
  }

  /** Drops the tombstone. */
  forget(service: string, id: string): void {
    const { ref, gone } = this.#of('default', service);
    const tombstone = gone.get(id);
    gone.delete(id);
    if (tombstone !== undefined) this.feed.forget({ ...ref, revision: tombstone.revision });
  }

  /** A watcher that has received everything so far. */
  watch(order: Partial<WatchOrder>, sink = new Sink()): Sink {
    this.connect(order, sink);
    this.time.advance(200);
    return sink;
  }

  connect(order: Partial<WatchOrder>, sink: Sink): void {
    const whole = { namespace: 'default', services: [], resume: [], cursor: null, line: null, ...order };
    sink.watcher = this.feed.watch(whole, sink, () => {
      sink.isCut = true;
    });
  }

  #of(namespace: string, service: string): ServiceContents {
    const key = `${namespace}/${service}`;
    const known = this.#services.get(key) ?? { ref: { namespace, service }, up: new Map(), gone: new Map() };
    this.#services.set(key, known);
    return known;
  }
}

export interface Flush {
  readonly frames: readonly SharedFrame[];
  readonly cursor: Cursor;
}

/** A watcher that records its frames and reads at the pace of the test. */
export class Sink implements WatcherSink {
  flushes: Flush[] = [];
  readonly beats: Cursor[] = [];
  isEnded = false;
  isCut = false;
  watcher: FeedWatcher | null = null;
  /** Bytes that wait for the peer; null: it reads everything at once. */
  waiting: number | null = null;
  onFlush: (flush: Flush) => void = () => {};

  flush(frames: readonly SharedFrame[], cursor: Cursor): void {
    const flush = { frames, cursor };
    this.flushes.push(flush);
    if (this.waiting !== null) for (const frame of frames) this.waiting += frame.bytes().byteLength;
    this.onFlush(flush);
  }

  beat(cursor: Cursor): void {
    this.beats.push(cursor);
  }

  backlog(): number {
    return this.waiting ?? 0;
  }

  end(): void {
    this.isEnded = true;
  }

  get frames(): readonly Frame[] {
    return this.flushes.flatMap(({ frames }) => frames.map(({ frame }) => frame));
  }

  /** Returns and clears the received frames, without the status. */
  take(): readonly Frame[] {
    const frames = this.frames.filter(({ event }) => event !== 'status');
    this.flushes = [];
    return frames;
  }
}

/** The frame of a reset in one part. */
export function reset(
  service: string,
  revision: number,
  instances: readonly Instance[],
  removed: readonly Tombstone[] = [],
): Frame {
  const data = { namespace: 'default', service, epoch: EPOCH, revision, part: 0, complete: true, instances, removed };
  return { event: 'reset', data };
}

export function change(service: string, upsert: readonly Instance[], remove: readonly Tombstone[] = []): Frame {
  return { event: 'change', data: { namespace: 'default', service, upsert, remove } };
}

export function cursorAt(revision: number, epoch = EPOCH): Cursor {
  return { epoch, revision };
}
