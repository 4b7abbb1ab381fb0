import type { EventKind, Instance, Reason, RegistryEvent, Time } from '@rollcall/core';

/** One thing that happened, as whoever brought it about tells it. */
export type Happening = Pick<RegistryEvent, 'kind' | 'by' | 'text'> & { readonly reason?: Reason };

export interface EventQuery {
  /** Only what came after this one, oldest first; null: the newest, up to `limit`. */
  readonly after: number | null;
  /** 1 … 1,000. */
  readonly limit: number;
  /** A namespace, or `*`: what is about the registry as a whole belongs to all of them. */
  readonly namespace: string;
  /** Empty: all. */
  readonly services: readonly string[];
  /** Empty: all. */
  readonly kinds: readonly EventKind[];
}

export interface EventsAnswer {
  /** Sequence numbers count within it. */
  readonly epoch: string;
  /** Wall clock, ms since 1970, since when everything is kept: of what comes before, only what operators did and what the registry says of itself. */
  readonly since: number;
  /** What `after` says next time. */
  readonly last: number;
  /** Is there more after `last` already? */
  readonly more: boolean;
  /** So many from the one that was asked for up to `last` are no longer kept. */
  readonly missed: number;
  /** Newest last. */
  readonly events: readonly RegistryEvent[];
}

export interface TimelineAnswer {
  readonly id: string;
  /** Wall clock, ms since 1970, since when everything about it is kept. */
  readonly since: number;
  /** Newest last. */
  readonly events: readonly RegistryEvent[];
}

/** The last so many of the whole registry. */
const KEPT = 10_000;
/** Of those that others cannot push out, in each group. */
const LASTING = 1_000;
/** Of one instance; of those that are no news of its state, fewer: of what operators did, and of the others. */
const KEPT_OF_ONE = 64;
const MINOR_OF_ONE = 16;
/** Of all instances together: above it each that gets another one keeps only the few. A few hundred bytes each. */
const KEPT_OF_ALL = 100_000;
const FEW_OF_ONE = 8;
const MINOR: ReadonlySet<EventKind> = new Set(['re-registered', 'circuit']);

interface Timeline {
  /** Replaced by a longer one, for a list that is pushed to keeps room for seventeen, and most instances have few events. */
  events: RegistryEvent[];
  /** When the newest of those that were dropped happened; null while all are there. */
  cutAt: number | null;
}

/**
 * What happened, for people: the newest 10,000 events of the registry, and of each instance its own last 64, which stay until its
 * tombstone goes. Services bring about as many as they like, so what operators did and what the registry says of itself outlasts theirs: the
 * newest 1,000 of each. In memory only, and nothing is decided from it. What comes before `begin` is not noted: a restart finds instances,
 * it does not register them.
 */
export class History {
  readonly #time: Pick<Time, 'wall'>;
  readonly #most: number;
  /** The event with number `seq` is at `(seq - 1) % #most`. */
  readonly #ring: RegistryEvent[] = [];
  /** What has left the ring and is kept, oldest first. */
  readonly #lasting: Readonly<Record<Lasting, RegistryEvent[]>> = { operators: [], registry: [] };
  readonly #timelines = new Map<string, Timeline>();
  #last = 0;
  #inTimelines = 0;
  #begunAt: number | null = null;

  constructor(time: Pick<Time, 'wall'>, most: number = KEPT) {
    this.#time = time;
    this.#most = most;
  }

  /** From here on everything is noted. */
  begin(): void {
    this.#begunAt = this.#time.wall();
  }

  /** Something about a service, or about the registry as a whole. */
  note(what: Happening, of: Pick<Instance, 'namespace' | 'service'> | null = null): void {
    const { namespace = null, service = null } = of ?? {};
    this.#add(what, { namespace, service, instance: null, state: null, revision: null });
  }

  /** Something about an instance; `record` is what it is published as afterwards. */
  noteOf(record: Instance, what: Happening): void {
    const { id, namespace, service, revision } = record;
    const state = what.kind === 'removed' ? null : record.state;
    const event = this.#add(what, { namespace, service, instance: id, state, revision });
    if (event !== null) this.#addTo(id, event);
  }

  /** The last trace of an instance is gone. */
  forget(id: string): void {
    this.#inTimelines -= this.#timelines.get(id)?.events.length ?? 0;
    this.#timelines.delete(id);
  }

  timeline(id: string): TimelineAnswer {
    const { events = [], cutAt = null } = this.#timelines.get(id) ?? {};
    return { id, since: cutAt ?? this.#since, events: [...events] };
  }

  events(query: EventQuery): Omit<EventsAnswer, 'epoch'> {
    const first = Math.max(1, this.#last - this.#ring.length + 1);
    const since = first === 1 ? this.#since : (this.#at(first)?.at ?? this.#since);
    const fits = filterOf(query);
    if (query.after === null) {
      return { since, last: this.#last, more: false, missed: 0, events: this.#newest(first, query.limit, fits) };
    }
    // a number that was never given is of another epoch
    const after = query.after > this.#last ? 0 : query.after;
    const events: RegistryEvent[] = [];
    let last = this.#last;
    let looked = 0;
    for (const event of this.#from(first, after)) {
      looked += 1;
      if (!fits(event) || events.push(event) < query.limit) continue;
      last = event.seq;
      break;
    }
    return { since, last, more: last < this.#last, missed: last - after - looked, events };
  }

  get #since(): number {
    return this.#begunAt ?? this.#time.wall();
  }

  #at(seq: number): RegistryEvent | undefined {
    return this.#ring[(seq - 1) % this.#most];
  }

  #newest(first: number, limit: number, fits: (event: RegistryEvent) => boolean): RegistryEvent[] {
    const events: RegistryEvent[] = [];
    for (let seq = this.#last; seq >= first && events.length < limit; seq -= 1) {
      const event = this.#at(seq);
      if (event !== undefined && fits(event)) events.push(event);
    }
    const older = events.length < limit ? this.#older().filter(fits) : [];
    return [...older.slice(Math.max(0, older.length - (limit - events.length))), ...events.toReversed()];
  }

  /** All that is kept after this one, oldest first; `first`: where the ring begins. */
  *#from(first: number, after: number): Iterable<RegistryEvent> {
    if (after + 1 < first) yield* this.#older().filter(({ seq }) => seq > after);
    for (let seq = Math.max(first, after + 1); seq <= this.#last; seq += 1) {
      const event = this.#at(seq);
      if (event !== undefined) yield event;
    }
  }

  /** What is kept from before the ring, oldest first. */
  #older(): RegistryEvent[] {
    return [...this.#lasting.operators, ...this.#lasting.registry].toSorted((a, b) => a.seq - b.seq);
  }

  #add(what: Happening, of: AboutWhom): RegistryEvent | null {
    if (this.#begunAt === null) return null;
    this.#last += 1;
    // field by field: a spread costs ten times as much
    const event: RegistryEvent = {
      seq: this.#last,
      at: this.#time.wall(),
      kind: what.kind,
      namespace: of.namespace,
      service: of.service,
      instance: of.instance,
      state: of.state,
      reason: what.reason ?? null,
      revision: of.revision,
      by: what.by,
      text: what.text,
    };
    const place = (this.#last - 1) % this.#most;
    this.#outlast(this.#ring[place]);
    this.#ring[place] = event;
    return event;
  }

  /** It leaves the ring, and may have a place elsewhere. */
  #outlast(event: RegistryEvent | undefined): void {
    const group = event === undefined ? null : lastingOf(event);
    if (event === undefined || group === null) return;
    const kept = this.#lasting[group];
    if (kept.push(event) > LASTING) kept.shift();
  }

  #addTo(id: string, event: RegistryEvent): void {
    const timeline = this.#timelines.get(id) ?? { events: [], cutAt: null };
    this.#timelines.set(id, timeline);
    timeline.events = timeline.events.concat(event);
    this.#inTimelines += 1;
    if (timeline.events.length <= FEW_OF_ONE) return;
    const most = this.#inTimelines > KEPT_OF_ALL ? FEW_OF_ONE : KEPT_OF_ONE;
    for (let place = excessOf(timeline.events, most); place !== null; place = excessOf(timeline.events, most)) {
      this.#cut(timeline, place);
    }
  }

  #cut(timeline: Timeline, place: number): void {
    const [gone] = timeline.events.splice(place, 1);
    timeline.cutAt = Math.max(timeline.cutAt ?? 0, gone?.at ?? 0);
    this.#inTimelines -= 1;
  }
}

/** What an instance brings about pushes out neither. */
type Lasting = 'operators' | 'registry';

function lastingOf(event: RegistryEvent): Lasting | null {
  if (isDeed(event)) return 'operators';
  const { kind, service } = event;
  return service === null && (kind === 'registry' || kind === 'preservation') ? 'registry' : null;
}

const isDeed = ({ kind, by }: RegistryEvent): boolean => kind === 'admin' || by === 'operator';
const isMinor = ({ kind }: RegistryEvent): boolean => MINOR.has(kind);

/**
 * The place of the one that goes; null: none is too many. States are what a timeline is for, and what operators did is for people to see: too
 * many others go before them.
 */
function excessOf(events: readonly RegistryEvent[], most: number): number | null {
  const few = Math.min(MINOR_OF_ONE, most / 2);
  for (const isOne of [isDeed, isMinor]) {
    if (events.length > few && events.filter(isOne).length > few) return events.findIndex(isOne);
  }
  if (events.length <= most) return null;
  return Math.max(
    0,
    events.findIndex((event) => !isDeed(event)),
  );
}

type AboutWhom = Pick<RegistryEvent, 'namespace' | 'service' | 'instance' | 'state' | 'revision'>;

/** Who brings about what has this reason. */
export function actorOf({ code }: Reason): RegistryEvent['by'] {
  if (code === 'OPERATOR') return 'operator';
  return code === 'NEW' || code === 'MOVED' || code === 'LEAVING' || code === 'GOODBYE' ? 'instance' : 'registry';
}

function filterOf({ namespace, services, kinds }: EventQuery): (event: RegistryEvent) => boolean {
  return (event) =>
    (namespace === '*' || event.namespace === null || event.namespace === namespace) &&
    (services.length === 0 || (event.service !== null && services.includes(event.service))) &&
    (kinds.length === 0 || kinds.includes(event.kind));
}
