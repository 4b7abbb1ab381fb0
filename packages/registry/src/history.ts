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
  /** Wall clock, ms since 1970, since when everything is kept. */
  readonly since: number;
  /** What `after` says next time. */
  readonly last: number;
  /** Is there more after `last` already? */
  readonly more: boolean;
  /** So many after the one that was asked for are no longer kept. */
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
/** Of one instance; of those that are no news of its state, fewer. */
const KEPT_OF_ONE = 64;
const MINOR_OF_ONE = 16;
/** Of all instances together: above it each that gets another one keeps only the few. A few hundred bytes each. */
const KEPT_OF_ALL = 100_000;
const FEW_OF_ONE = 8;
const MINOR: ReadonlySet<EventKind> = new Set(['re-registered', 'admin', 'circuit']);

interface Timeline {
  /** Replaced by a longer one, for a list that is pushed to keeps room for seventeen, and most instances have few events. */
  events: RegistryEvent[];
  /** How many of them are minor. */
  minors: number;
  /** When the newest of those that were dropped happened; null while all are there. */
  cutAt: number | null;
}

/**
 * What happened, for people: the newest 10,000 events of the registry, and of each instance its own last 64, which stay until its
 * tombstone goes. In memory only, and nothing is decided from it. What comes before `begin` is not noted: a restart finds instances,
 * it does not register them.
 */
export class History {
  readonly #time: Pick<Time, 'wall'>;
  readonly #most: number;
  /** The event with number `seq` is at `(seq - 1) % #most`. */
  readonly #ring: RegistryEvent[] = [];
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
    let next = Math.max(first, after + 1);
    for (; next <= this.#last && events.length < query.limit; next += 1) {
      const event = this.#at(next);
      if (event !== undefined && fits(event)) events.push(event);
    }
    return { since, last: next - 1, more: next <= this.#last, missed: Math.max(0, first - after - 1), events };
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
    return events.toReversed();
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
    this.#ring[(this.#last - 1) % this.#most] = event;
    return event;
  }

  #addTo(id: string, event: RegistryEvent): void {
    const timeline = this.#timelines.get(id) ?? { events: [], minors: 0, cutAt: null };
    this.#timelines.set(id, timeline);
    timeline.events = timeline.events.concat(event);
    if (MINOR.has(event.kind)) timeline.minors += 1;
    this.#inTimelines += 1;
    const most = this.#inTimelines > KEPT_OF_ALL ? FEW_OF_ONE : KEPT_OF_ONE;
    while (timeline.events.length > most || timeline.minors > MINOR_OF_ONE) this.#cut(timeline);
  }

  /** States are what a timeline is for: too many other events go before them, else the oldest goes. */
  #cut(timeline: Timeline): void {
    const { events } = timeline;
    const place = timeline.minors > MINOR_OF_ONE ? events.findIndex(({ kind }) => MINOR.has(kind)) : 0;
    const [gone] = events.splice(place, 1);
    if (gone === undefined) return;
    timeline.cutAt = Math.max(timeline.cutAt ?? gone.at, gone.at);
    if (MINOR.has(gone.kind)) timeline.minors -= 1;
    this.#inTimelines -= 1;
  }
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
