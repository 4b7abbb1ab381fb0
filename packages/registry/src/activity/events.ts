import type { EventKind, EventsAnswer, Instance, Reason, RegistryEvent, Time, TimelineAnswer } from '@rollcall/core';
import { EventLog, isOperatorEvent } from './event-log.js';
import type { EventQuery } from './event-log.js';

export type { EventQuery } from './event-log.js';

/** One event, as its cause reports it. */
export type Happening = Pick<RegistryEvent, 'kind' | 'by' | 'text' | 'untilMs'> & { readonly reason?: Reason };

/** The maximum of events of the whole registry. */
const MAX_EVENTS = 10_000;
/**
 * The maximum number of events per instance. `MAX_MINOR_PER_INSTANCE` limits the operators' actions among them, and the
 * minor events.
 */
const MAX_PER_INSTANCE = 64;
const MAX_MINOR_PER_INSTANCE = 16;
/**
 * The maximum number of events in all timelines, a few hundred bytes each: above it a timeline that grows keeps
 * `MIN_PER_INSTANCE`.
 */
const MAX_IN_TIMELINES = 100_000;
const MIN_PER_INSTANCE = 8;
const MINOR: ReadonlySet<EventKind> = new Set(['re-registered', 'circuit']);

interface Timeline {
  /**
   * Replaced by a new array for each event: the first `push` to an array reserves room for seventeen elements, and most
   * instances have few events.
   */
  events: RegistryEvent[];
  /** The time of the newest dropped event; null while none was dropped. */
  cutAt: number | null;
}

/**
 * The history for people: the newest 10,000 events of the registry, and the last 64 of each instance, which stay
 * until its tombstone goes. Services cause any number of events, so those of operators and of the registry
 * itself are kept longer: the newest 1,000 of each; circuits have a ring of their own, 1,000 as well. In memory
 * only, and no decision depends on it. Nothing is recorded before `begin`: a restart finds instances, it does not
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

  /** Starts recording. */
  begin(): void {
    this.#begunAt = this.#time.wall();
  }

  /** Records an event of a service, or of the registry as a whole. */
  note(what: Happening, of: Pick<Instance, 'namespace' | 'service'> | null = null): void {
    const { namespace = null, service = null } = of ?? {};
    this.#add(what, { namespace, service, instance: null, state: null, revision: null });
  }

  /** Records an event of an instance; `record` is its published record after the event. */
  noteOf(record: Instance, what: Happening): void {
    const { id, namespace, service, revision } = record;
    const state = what.kind === 'removed' ? null : record.state;
    const event = this.#add(what, { namespace, service, instance: id, state, revision });
    if (event !== null) this.#addTo(id, event);
  }

  /** Drops the timeline of an instance. */
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
    for (let index = excessOf(timeline.events, max); index !== null; index = excessOf(timeline.events, max)) {
      this.#cut(timeline, index);
    }
  }

  #cut(timeline: Timeline, index: number): void {
    const [gone] = timeline.events.splice(index, 1);
    timeline.cutAt = Math.max(timeline.cutAt ?? 0, gone?.at ?? 0);
    this.#inTimelines -= 1;
  }
}

const isMinor = ({ kind }: RegistryEvent): boolean => MINOR.has(kind);

/**
 * The index of the event to drop; null: the limits are kept. State changes are the purpose of a timeline, so surplus
 * actions of operators and surplus minor events are dropped before them.
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
