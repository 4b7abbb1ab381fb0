import type {
  Counter,
  Histogram,
  Log,
  Meter,
  Protocol,
  Random,
  RollcallError,
  State,
  Suspicion,
  Time,
} from '@rollcall/core';
import type { Callee } from './attempt.js';
import type { Selector } from './balance/balancer.js';
import type { Node } from './balance/node.js';
import { noneError } from './call-error.js';
import type { CallPolicy } from './call-options.js';
import type { Services, ServiceView } from './catalog.js';
import { Lane } from './lane.js';
import { RetryBudget } from './retry.js';
import type { HttpRequest } from './transport/http-message.js';
import type { TcpRequest } from './transport/tcp-message.js';
import type { Transport } from './transport/transport.js';
import type { Wheel } from './wheel.js';

/** What calls are counted with. */
export interface CallInstruments {
  readonly seconds: Histogram<readonly ['service', 'outcome']>;
  readonly retries: Counter<readonly ['service']>;
  readonly ejections: Counter<readonly ['service', 'cause']>;
}

/** Makes the instruments. `outcome` is `success` or the error's code in lower case. */
export function callInstruments(meter: Meter): CallInstruments {
  return {
    seconds: meter.histogram('rollcall_call_seconds', 'Time of a call, retries included.', ['service', 'outcome']),
    retries: meter.counter('rollcall_call_retries_total', 'Attempts after the first one.', ['service']),
    ejections: meter.counter('rollcall_call_ejections_total', 'Instances taken out by the breaker.', [
      'service',
      'cause',
    ]),
  };
}

/** What the calls to all services share. */
export interface Surroundings {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly wheel: Wheel;
  readonly services: Services;
  readonly instruments: CallInstruments;
  readonly tcp: Transport<TcpRequest>;
  readonly http: Transport<HttpRequest>;
  suspect(id: string, outcome: Suspicion['outcome']): void;
}

const MAX_SELECTORS = 64;

/** One service as its callers see it: the catalog's view of it, its policy, its retry budget and its bulkhead. */
export class ServiceCallee implements Callee {
  readonly service: string;
  readonly view: ServiceView;
  readonly policy: CallPolicy;
  readonly budget: RetryBudget;
  readonly wheel: Wheel;
  readonly random: Random;
  readonly standard: Selector;
  /** Calls under way. */
  inFlight = 0;
  readonly #around: Surroundings;
  readonly #selectors = new Map<string, Selector>();
  readonly #unwatch: () => void;
  #tcp: Lane<TcpRequest> | null = null;
  #http: Lane<HttpRequest> | null = null;

  constructor(service: string, policy: CallPolicy, around: Surroundings) {
    this.service = service;
    this.policy = policy;
    this.wheel = around.wheel;
    this.random = around.random;
    this.budget = new RetryBudget({ ratio: policy.retryRatio, perSecond: policy.retriesPerSecond });
    this.standard = { key: '', states: policy.allowedStates, version: '' };
    this.#around = around;
    this.view = around.services.service(service);
    this.#unwatch = this.view.onChange(() => this.#update());
  }

  /** Made when first needed, as is its balancer. */
  get tcp(): Lane<TcpRequest> {
    return (this.#tcp ??= this.#lane(this.#around.tcp));
  }

  get http(): Lane<HttpRequest> {
    return (this.#http ??= this.#lane(this.#around.http));
  }

  /** Those that have been used. */
  get lanes(): readonly Lane<never>[] {
    return [this.#tcp, this.#http].filter((lane) => lane !== null);
  }

  now(): number {
    return this.#around.time.now();
  }

  /** The same object for the same choice, so that balancers can keep what they sort for it. */
  selector(states: readonly State[] | undefined, version: string | undefined): Selector {
    if (states === undefined && version === undefined) return this.standard;
    const key = `${(states ?? []).join()}@${version ?? ''}`;
    const known = this.#selectors.get(key);
    if (known !== undefined) return known;
    if (this.#selectors.size >= MAX_SELECTORS) this.#selectors.clear();
    const selector: Selector = { key, states: states ?? this.policy.allowedStates, version: version ?? '' };
    this.#selectors.set(key, selector);
    return selector;
  }

  attemptsAt(node: Node): number {
    const retries = this.policy.states[node.instance.state].retries;
    return retries === undefined ? this.policy.attempts : retries + 1;
  }

  retried(): void {
    this.#around.instruments.retries.add(1, this.service);
  }

  noneError(protocol: Protocol, selector: Selector): RollcallError {
    const lane = protocol === 'tcp' ? this.tcp : this.http;
    return noneError(lane.balancer.whyNone(selector), this.view, protocol, this.#around.services.names());
  }

  ended(startedAt: number, now: number, error: RollcallError | null): void {
    this.inFlight -= 1;
    const outcome = error === null ? 'success' : error.code.toLowerCase();
    this.#around.instruments.seconds.record((now - startedAt) / 1000, this.service, outcome);
  }

  /** The catalog's news are not wanted any more. */
  close(): void {
    this.#unwatch();
  }

  #lane<Request>(transport: Transport<Request>): Lane<Request> {
    const { random, wheel, log, time, instruments } = this.#around;
    const lane = new Lane<Request>({
      transport,
      random,
      wheel,
      log,
      policy: this.policy,
      standard: this.standard,
      suspect: (id, outcome) => this.#around.suspect(id, outcome),
      ejected: (cause) => instruments.ejections.add(1, this.service, cause),
      now: () => time.now(),
    });
    lane.balancer.update(this.view.instances, time.now());
    return lane;
  }

  #update(): void {
    const now = this.now();
    this.#tcp?.balancer.update(this.view.instances, now);
    this.#http?.balancer.update(this.view.instances, now);
  }
}
