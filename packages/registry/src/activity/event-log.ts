import type { EventKind, EventsAnswer, RegistryEvent, State } from '@rollcall/core';

/** A query of events. Events pass all filters; an empty or missing filter lets every event through. */
export interface EventQuery {
  /** Only events with a higher number, oldest first; null: the newest, up to `limit`. Not together with `before`. */
  readonly after: number | null;
  /** Only events with a lower number: the newest of those, up to `limit`. */
  readonly before?: number | null;
  /** 1 … 1,000. */
  readonly limit: number;
  /** A namespace, or `*`: events about the registry as a whole belong to all namespaces. */
  readonly namespace: string;
  readonly services: readonly string[];
  readonly kinds: readonly EventKind[];
  /** Whole ids. */
  readonly instances?: readonly string[];
  /** The state after the event. */
  readonly states?: readonly State[];
  /** Wall clock, ms since 1970: events at this time or later. */
  readonly from?: number | null;
  /** Wall clock, ms since 1970: events before this time. */
  readonly to?: number | null;
}

/** The size of each ring except the main one, events. */
const RING_SIZE = 1_000;

/**
 * The newest events of the registry, in memory: at most `max`, and 1,000 circuit events, which come often and so have
 * a ring of their own. Of the events that leave the main ring, the newest 1,000 by operators and the newest 1,000 of
 * the registry itself stay. A query reads each kept event once at most.
 */
export class EventLog {
  readonly #main: EventRing;
  readonly #circuits = new EventRing(RING_SIZE);
  readonly #lasting: Readonly<Record<Lasting, EventRing>> = {
    operators: new EventRing(RING_SIZE),
    registry: new EventRing(RING_SIZE),
  };
  readonly #rings: readonly EventRing[];
  #last = 0;

  constructor(max: number) {
    this.#main = new EventRing(max);
    this.#rings = [this.#main, this.#circuits, this.#lasting.operators, this.#lasting.registry];
  }

  /** The number of the next event. */
  get next(): number {
    return this.#last + 1;
  }

  /** `event.seq` must be `next`. */
  add(event: RegistryEvent): void {
    this.#last = event.seq;
    if (event.kind === 'circuit') {
      this.#circuits.push(event);
      return;
    }
    const gone = this.#main.push(event);
    const group = gone === undefined ? null : lastingOf(gone);
    if (gone !== undefined && group !== null) this.#lasting[group].push(gone);
  }

  /** `begunAt`: start of the recording, wall clock, ms since 1970. */
  read(query: EventQuery, begunAt: number): Omit<EventsAnswer, 'epoch'> {
    const fits = filterOf(query);
    const facts = { since: this.#since(query, begunAt), dropped: this.#last - this.#size };
    if (query.after === null) {
      const { events, older } = this.#newest(query.before ?? Infinity, query.limit, fits);
      return { ...facts, last: this.#last, more: false, missed: 0, older, events };
    }
    // a number that was never assigned is of another epoch
    const after = query.after > this.#last ? 0 : query.after;
    const events: RegistryEvent[] = [];
    let last = this.#last;
    let looked = 0;
    for (const event of forwards(this.#rings, after)) {
      looked += 1;
      if (!fits(event) || events.push(event) < query.limit) continue;
      last = event.seq;
      break;
    }
    // only events after `after` were read: none of them is older than the first event
    const { older } = this.#newest(after + 1, 0, fits);
    return { ...facts, last, more: last < this.#last, missed: last - after - looked, older, events };
  }

  get #size(): number {
    return this.#rings.reduce((sum, { size }) => sum + size, 0);
  }

  #since({ kinds }: EventQuery, begunAt: number): number {
    const isRequested = (isCircuit: boolean): boolean =>
      kinds.length === 0 || kinds.some((kind) => (kind === 'circuit') === isCircuit);
    const [main, circuits] = [
      isRequested(false) ? this.#main.keptFrom : null,
      isRequested(true) ? this.#circuits.keptFrom : null,
    ];
    return Math.max(begunAt, main ?? begunAt, circuits ?? begunAt);
  }

  #newest(
    before: number,
    limit: number,
    fits: (event: RegistryEvent) => boolean,
  ): Pick<EventsAnswer, 'events' | 'older'> {
    const events: RegistryEvent[] = [];
    for (const event of backwards(this.#rings, before)) {
      if (!fits(event)) continue;
      if (events.length === limit) return { events: events.toReversed(), older: true };
      events.push(event);
    }
    return { events: events.toReversed(), older: false };
  }
}

/** Keeps the newest events up to a limit, in the order of their numbers. */
class EventRing {
  readonly #max: number;
  readonly #ring: RegistryEvent[] = [];
  #pushed = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#ring.length;
  }

  /** The time of the oldest kept event; null while none was dropped. */
  get keptFrom(): number | null {
    return this.#pushed > this.#ring.length ? (this.at(0)?.at ?? null) : null;
  }

  /** Adds an event; returns the one that it replaces. */
  push(event: RegistryEvent): RegistryEvent | undefined {
    const place = this.#pushed % this.#max;
    const gone = this.#ring[place];
    this.#ring[place] = event;
    this.#pushed += 1;
    return gone;
  }

  /** 0 is the oldest. */
  at(index: number): RegistryEvent | undefined {
    return index < 0 ? undefined : this.#ring[(this.#pushed - this.#ring.length + index) % this.#max];
  }

  /** The number of its events with a lower sequence number. */
  countBelow(seq: number): number {
    let [low, high] = [0, this.size];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.at(middle)?.seq ?? Infinity) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The events of all rings with a number below `before`, newest first. */
function* backwards(rings: readonly EventRing[], before: number): Iterable<RegistryEvent> {
  const heads = rings.map((ring) => ({ ring, place: ring.countBelow(before) - 1 }));
  for (;;) {
    let newest: RegistryEvent | undefined;
    for (const { ring, place } of heads) {
      const event = ring.at(place);
      if (event !== undefined && event.seq > (newest?.seq ?? 0)) newest = event;
    }
    if (newest === undefined) return;
    for (const head of heads) if (head.ring.at(head.place) === newest) head.place -= 1;
    yield newest;
  }
}

/** The events of all rings with a number above `after`, oldest first. */
function* forwards(rings: readonly EventRing[], after: number): Iterable<RegistryEvent> {
  const heads = rings.map((ring) => ({ ring, place: ring.countBelow(after + 1) }));
  for (;;) {
    let oldest: RegistryEvent | undefined;
    for (const { ring, place } of heads) {
      const event = place < ring.size ? ring.at(place) : undefined;
      if (event !== undefined && event.seq < (oldest?.seq ?? Infinity)) oldest = event;
    }
    if (oldest === undefined) return;
    for (const head of heads) if (head.place < head.ring.size && head.ring.at(head.place) === oldest) head.place += 1;
    yield oldest;
  }
}

/** The groups that events of instances never push out. */
type Lasting = 'operators' | 'registry';

function lastingOf(event: RegistryEvent): Lasting | null {
  if (isOperatorEvent(event)) return 'operators';
  const { kind, service } = event;
  return service === null && (kind === 'registry' || kind === 'preservation') ? 'registry' : null;
}

/** True if an operator caused the event, or if it is about an operator's setting. */
export const isOperatorEvent = ({ kind, by }: RegistryEvent): boolean => kind === 'admin' || by === 'operator';

function filterOf(query: EventQuery): (event: RegistryEvent) => boolean {
  const { namespace, from = null, to = null } = query;
  const services = new Set<string | null>(query.services);
  const instances = new Set<string | null>(query.instances);
  const kinds = new Set<EventKind>(query.kinds);
  const states = new Set<State | null>(query.states);
  return (event) =>
    (namespace === '*' || event.namespace === null || event.namespace === namespace) &&
    (services.size === 0 || services.has(event.service)) &&
    (instances.size === 0 || instances.has(event.instance)) &&
    (kinds.size === 0 || kinds.has(event.kind)) &&
    (states.size === 0 || states.has(event.state)) &&
    (from === null || event.at >= from) &&
    (to === null || event.at < to);
}
