import type { Counter, Histogram, InstanceId, Meter, Protocol, RollcallError, Time } from '@rollcall/core';
import type { NoneReason } from '../balance/balancer.js';
import type { EjectionCause } from '../breaker/breaker.js';
import type { ServiceView } from '../discovery/catalog.js';
import type { FailureKind } from '../transport/transport.js';
import type { CallerEvents, ServiceState, ShedCause, StateEvent } from './events.js';
import type { LaneEvents } from './service-state.js';

/** The metrics of calls. */
export interface CallInstruments {
  readonly seconds: Histogram<readonly ['service', 'outcome']>;
  readonly failures: Counter<readonly ['service', 'kind']>;
  readonly retries: Counter<readonly ['service']>;
  readonly hedges: Counter<readonly ['service']>;
  readonly exhaustions: Counter<readonly ['service']>;
  readonly sheds: Counter<readonly ['service', 'cause']>;
  readonly waits: Counter<readonly ['service', 'reason']>;
  readonly ejections: Counter<readonly ['service', 'cause']>;
  readonly fallbacks: Counter<readonly ['service']>;
}

/** Creates the instruments. `outcome` is `success` or the code of the error in lower case. */
export function callInstruments(meter: Meter): CallInstruments {
  return {
    seconds: meter.histogram('rollcall_call_seconds', 'Duration of a call, retries included.', ['service', 'outcome']),
    failures: meter.counter('rollcall_call_attempt_failures_total', 'Failed attempts, by kind.', ['service', 'kind']),
    retries: meter.counter('rollcall_call_retries_total', 'Attempts after the first one, without hedges.', ['service']),
    hedges: meter.counter('rollcall_call_hedges_total', 'Second attempts beside a slow first one.', ['service']),
    exhaustions: meter.counter(
      'rollcall_call_budget_exhausted_total',
      'Attempts that were not made because the retry budget was empty.',
      ['service'],
    ),
    sheds: meter.counter('rollcall_call_sheds_total', 'Calls and attempts that this process did not send.', [
      'service',
      'cause',
    ]),
    waits: meter.counter(
      'rollcall_call_waits_total',
      'Calls that waited because no instance accepted them at first, by reason.',
      ['service', 'reason'],
    ),
    ejections: meter.counter('rollcall_call_ejections_total', 'Instances ejected by the circuit breaker.', [
      'service',
      'cause',
    ]),
    fallbacks: meter.counter(
      'rollcall_call_fallbacks_total',
      'Failed calls for which a fallback returned a response.',
      ['service'],
    ),
  };
}

const STATE_KINDS: Readonly<Record<ServiceState, StateEvent['kind']>> = {
  OPEN: 'opened',
  DEGRADED: 'degraded',
  CLOSED: 'closed',
};

/** This label is not a valid name of a service. */
const UNKNOWN_LABEL = '(unknown)';

type ViewState = Pick<ServiceView, 'status' | 'instances'>;

/** The called service. */
interface Subject {
  readonly service: string;
  readonly view: ViewState;
}

/** Counts and reports the events of the calls of one service. */
export class ServiceEvents implements LaneEvents {
  readonly #service: string;
  readonly #view: ViewState;
  #isNamed = false;
  readonly #time: Time;
  readonly #instruments: CallInstruments;
  readonly #events: CallerEvents;

  constructor({ service, view }: Subject, time: Time, instruments: CallInstruments, events: CallerEvents) {
    this.#service = service;
    this.#view = view;
    this.#time = time;
    this.#instruments = instruments;
    this.#events = events;
  }

  ejected(protocol: Protocol, instance: InstanceId, cause: EjectionCause, failure: FailureKind): void {
    this.#instruments.ejections.add(1, this.#label, cause);
    if (this.#events.hasListeners)
      this.#events.emit({ kind: 'ejected', ...this.#lastReported(), protocol, instance, cause, failure });
  }

  readmitted(protocol: Protocol, instance: InstanceId, cause: EjectionCause): void {
    if (this.#events.hasListeners)
      this.#events.emit({ kind: 'readmitted', ...this.#lastReported(), protocol, instance, cause });
  }

  became(protocol: Protocol, state: ServiceState, cause: StateEvent['cause']): void {
    if (!this.#events.hasListeners) return;
    this.#events.emit({ kind: STATE_KINDS[state], ...this.#lastReported(), protocol, instance: null, cause });
  }

  failed(failure: FailureKind): void {
    this.#instruments.failures.add(1, this.#label, failure);
  }

  shed(cause: ShedCause, instance: InstanceId | null): void {
    this.#instruments.sheds.add(1, this.#label, cause);
    const count = this.#events.pace(this.#service, 'shed', cause);
    if (count > 0) this.#events.emit({ kind: 'shed', ...this.#lastReported(), instance, cause, count });
  }

  waited(reason: NoneReason): void {
    this.#instruments.waits.add(1, this.#label, reason.toLowerCase());
  }

  /** `instance` is that of the second attempt. */
  hedged(instance: InstanceId): void {
    this.#instruments.hedges.add(1, this.#label);
    const count = this.#events.pace(this.#service, 'hedged', 'slow');
    if (count > 0) this.#events.emit({ kind: 'hedged', ...this.#lastReported(), instance, cause: 'slow', count });
  }

  retried(): void {
    this.#instruments.retries.add(1, this.#label);
  }

  exhausted(instance: InstanceId, failure: FailureKind): void {
    this.#instruments.exhaustions.add(1, this.#label);
    const count = this.#events.pace(this.#service, 'budget-exhausted', '');
    if (count > 0)
      this.#events.emit({ kind: 'budget-exhausted', ...this.#lastReported(), instance, cause: failure, count });
  }

  fellBack(): void {
    this.#instruments.fallbacks.add(1, this.#label);
  }

  ended(ms: number, error: RollcallError | null): void {
    this.#instruments.seconds.record(ms / 1_000, this.#label, error === null ? 'success' : error.code.toLowerCase());
  }

  /**
   * The label of a service. Names of unknown services may come from untrusted input and must not become labels: all of them share one
   * label. A service that was known before keeps its name.
   */
  get #label(): string {
    if (this.#isNamed) return this.#service;
    const { status, instances } = this.#view;
    this.#isNamed = instances.length > 0 || status === 'known';
    return this.#isNamed || status === 'waiting' ? this.#service : UNKNOWN_LABEL;
  }

  #lastReported(): { readonly service: string; readonly at: number } {
    return { service: this.#service, at: this.#time.wall() };
  }
}
