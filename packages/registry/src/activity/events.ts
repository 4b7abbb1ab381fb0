import type { EventKind, EventsAnswer, Instance, Reason, RegistryEvent, Time, TimelineAnswer } from '@rollcall/core';
import { EventLog, isOperatorEvent } from './event-log.js';
import type { EventQuery } from './event-log.js';

export type { EventQuery } from './event-log.js';

/** One event, as its cause reports it. */
export type Happening = Pick<RegistryEvent, 'kind' | 'by' | 'text' | 'untilMs'> & { readonly reason?: Reason };

/** Events kept of the whole registry. */
const MAX_EVENTS = 10_000;
/** Events kept of one instance; of those that do not report its state, fewer: of operators' actions, and of others. */
const MAX_PER_INSTANCE = 64;
const MAX_MINOR_PER_INSTANCE = 16;
/** Of all instances together: above it each that gets another one keeps only the few. A few hundred bytes each. */
const MAX_IN_TIMELINES = 100_000;
const MIN_PER_INSTANCE = 8;
const MINOR: ReadonlySet<EventKind> = new Set(['re-registered', 'circuit']);

interface Timeline {
  /**
   * Replaced by a longer one, for a list that is pushed to keeps room for seventeen, and most instances have few
   * events.
   */
  events: RegistryEvent[];
  /** When the newest of those that were dropped happened; null while all are there. */
  cutAt: number | null;
}

/**
 * What happened, for people: the newest 10,000 events of the registry, and of each instance its own last 64, which stay
 * until its tombstone goes. Services bring about as many as they like, so what operators did and what the registry says
 * of itself outlasts theirs: the newest 1,000 of each; circuits have a place of their own, 1,000 as well. In memory
 * only, and nothing is decided from it. What comes before `begin` is not noted: a restart finds instances, it does not
 * register them.
 */
export class EventHistory {
  readonly #time: Pick<Time, 'wall'>;
  readonly #log: EventLog;
  readonly #timelines = new Map<string, Timeline>();
  #inTimelines = 0;
  #begunAt: number | null = null;

  constructor(time: Pick<Time, 'wall'>, max: number = MAX_EVENTS) {
    this.#time = time;
    this.#log = new EventLog(max);
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
    return this.#log.read(query, this.#since);
  }

  get #since(): number {
    return this.#begunAt ?? this.#time.wall();
  }

  #add(what: Happening, of: EventSubject): RegistryEvent | null {
    if (this.#begunAt === null) return null;
    // field by field: a spread costs ten times as much
    const plain: RegistryEvent = {
      seq: this.#log.next,
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
    const event = what.untilMs === undefined ? plain : { ...plain, untilMs: what.untilMs };
    this.#log.add(event);
    return event;
  }

  #addTo(id: string, event: RegistryEvent): void {
    const timeline = this.#timelines.get(id) ?? { events: [], cutAt: null };
    this.#timelines.set(id, timeline);
    timeline.events = timeline.events.concat(event);
    this.#inTimelines += 1;
    if (timeline.events.length <= MIN_PER_INSTANCE) return;
    const max = this.#inTimelines > MAX_IN_TIMELINES ? MIN_PER_INSTANCE : MAX_PER_INSTANCE;
    for (let place = excessOf(timeline.events, max); place !== null; place = excessOf(timeline.events, max)) {
      this.#cut(timeline, place);
    }
  }

  #cut(timeline: Timeline, place: number): void {
    const [gone] = timeline.events.splice(place, 1);
    timeline.cutAt = Math.max(timeline.cutAt ?? 0, gone?.at ?? 0);
    this.#inTimelines -= 1;
  }
}

const isMinor = ({ kind }: RegistryEvent): boolean => MINOR.has(kind);

/**
 * The place of the one that goes; null: none is too many. States are what a timeline is for, and what operators did is
 * for people to see: too many others go before them.
 */
function excessOf(events: readonly RegistryEvent[], max: number): number | null {
  const few = Math.min(MAX_MINOR_PER_INSTANCE, max / 2);
  for (const isDroppable of [isOperatorEvent, isMinor]) {
    if (events.length > few && events.filter(isDroppable).length > few) return events.findIndex(isDroppable);
  }
  if (events.length <= max) return null;
  return Math.max(
    0,
    events.findIndex((event) => !isOperatorEvent(event)),
  );
}

type EventSubject = Pick<RegistryEvent, 'namespace' | 'service' | 'instance' | 'state' | 'revision'>;

/** The actor behind events with this reason. */
export function actorOf({ code }: Reason): RegistryEvent['by'] {
  if (code === 'OPERATOR') return 'operator';
  return code === 'NEW' || code === 'MOVED' || code === 'LEAVING' || code === 'GOODBYE' ? 'instance' : 'registry';
}
