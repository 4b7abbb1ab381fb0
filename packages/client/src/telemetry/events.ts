import { AsyncResource } from 'node:async_hooks';
import { messageOf } from '@rollcall/core';
import type { InstanceId, Log, Protocol, Time } from '@rollcall/core';
import type { EjectionCause } from '../breaker/breaker.js';
import type { FailureKind } from '../transport/transport.js';

/** The fields of all events. */
export interface EventBase {
  readonly service: string;
  /** Null: the event concerns no single instance. */
  readonly instance: InstanceId | null;
  /** Wall clock, ms since 1970. */
  readonly at: number;
}

/**
 * This process ejected an instance: it gets only probes, or calls for which no better instance exists. `failure`: the kind of the last
 * failure.
 */
export interface EjectedEvent extends EventBase {
  readonly kind: 'ejected';
  readonly protocol: Protocol;
  readonly instance: InstanceId;
  readonly cause: EjectionCause;
  readonly failure: FailureKind;
}

/** An ejected instance answers again and gets calls, few at first. `cause`: why it was ejected. */
export interface ReadmittedEvent extends EventBase {
  readonly kind: 'readmitted';
  readonly protocol: Protocol;
  readonly instance: InstanceId;
  readonly cause: EjectionCause;
}

/**
 * The state of a service in this process: `CLOSED`, no instance is ejected; `DEGRADED`, some are ejected; `OPEN`, no instance can be
 * called.
 */
export type ServiceState = 'CLOSED' | 'DEGRADED' | 'OPEN';

/** The state of a service has become OPEN (`opened`), DEGRADED (`degraded`) or CLOSED (`closed`). */
export interface StateEvent extends EventBase {
  readonly kind: 'opened' | 'degraded' | 'closed';
  readonly protocol: Protocol;
  readonly instance: null;
  /** `experience`: the results of our own calls; `registry`: the states that the registry reports. */
  readonly cause: 'experience' | 'registry';
}

/**
 * Why a call was refused or not sent: `bulkhead`, maxConcurrent is reached; `limit`, the callable instances are full; `congested`, too much
 * data waits to be written.
 */
export type ShedCause = 'bulkhead' | 'limit' | 'congested';

/** A kind of event that may occur often: at most one event a second for each service and cause. */
export interface ThrottledEvent extends EventBase {
  /** Occurrences since the last event of this kind, service and cause. */
  readonly count: number;
}

/** This process did not send a call. */
export interface ShedEvent extends ThrottledEvent {
  readonly kind: 'shed';
  readonly cause: ShedCause;
}

/** A second attempt was sent beside a slow first one. `instance`: that of the second attempt. */
export interface HedgedEvent extends ThrottledEvent {
  readonly kind: 'hedged';
  readonly instance: InstanceId;
  readonly cause: 'slow';
}

/** A call was not repeated because the retry budget of its service is empty. `cause`: the kind of its failure. */
export interface BudgetEvent extends ThrottledEvent {
  readonly kind: 'budget-exhausted';
  readonly cause: FailureKind;
}

/** The events of the callers in this process. Kinds and causes may be added. */
export type CallerEvent = EjectedEvent | ReadmittedEvent | StateEvent | ShedEvent | HedgedEvent | BudgetEvent;

export type CallerListener = (event: CallerEvent) => void;

/** The maximum number of events kept in one turn; further events are counted and not delivered. */
const MAX_PENDING_EVENTS = 256;
const THROTTLE_MS = 1_000;
/** The maximum number of combinations of kind and service that are throttled separately. */
const MAX_THROTTLES = 1_024;

interface Pace {
  emittedAt: number;
  count: number;
}

/**
 * Notifies listeners of events of calls. They are called soon after the event, outside of the call and of its AsyncLocalStorage; errors
 * that they throw are logged and affect no call. Without listeners no event is created or stored.
 */
export class CallerEvents {
  readonly #time: Time;
  readonly #log: Log;
  readonly #listeners = new Set<CallerListener>();
  readonly #paces = new Map<string, Pace>();
  /** Bound to the async context of the constructor, so that it keeps no caller's AsyncLocalStorage alive. */
  readonly #deliver: () => void;
  #waiting: CallerEvent[] = [];
  #lost = 0;

  constructor(time: Time, log: Log) {
    this.#time = time;
    this.#log = log;
    this.#deliver = AsyncResource.bind(() => this.#deliverAll());
  }

  /** True if there is a listener; otherwise no event needs to be created. */
  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  /** Returns a function that removes the listener. A listener that was added twice is called once. */
  listen(listener: CallerListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Notifies the listeners soon. */
  emit(event: CallerEvent): void {
    if (!this.hasListeners) return;
    if (this.#waiting.length >= MAX_PENDING_EVENTS) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(event);
    if (this.#waiting.length === 1) void Promise.resolve().then(this.#deliver);
  }

  /** The number of throttled events to report now, including this one; 0: the last report is too recent. */
  pace(service: string, kind: CallerEvent['kind'], cause: string): number {
    if (!this.hasListeners) return 0;
    const now = this.#time.now();
    const pace = this.#paceOf(`${kind} ${cause} ${service}`);
    pace.count += 1;
    if (now < pace.emittedAt + THROTTLE_MS) return 0;
    const { count } = pace;
    pace.emittedAt = now;
    pace.count = 0;
    return count;
  }

  /** Removes all listeners. */
  close(): void {
    this.#listeners.clear();
    this.#paces.clear();
    this.#waiting = [];
  }

  #paceOf(key: string): Pace {
    const known = this.#paces.get(key);
    if (known !== undefined) return known;
    if (this.#paces.size >= MAX_THROTTLES) this.#paces.clear();
    const pace: Pace = { emittedAt: -Infinity, count: 0 };
    this.#paces.set(key, pace);
    return pace;
  }

  #deliverAll(): void {
    const events = this.#waiting;
    const lost = this.#lost;
    this.#waiting = [];
    this.#lost = 0;
    for (const event of events) for (const listener of this.#listeners) this.#deliverTo(listener, event);
    if (lost > 0) this.#log.warn(`${lost} events about calls exceeded ${MAX_PENDING_EVENTS} at once and were dropped.`);
  }

  #deliverTo(listener: CallerListener, event: CallerEvent): void {
    try {
      listener(event);
    } catch (error) {
      this.#log.error(`A listener for events of calls threw: ${messageOf(error)}`);
    }
  }
}
