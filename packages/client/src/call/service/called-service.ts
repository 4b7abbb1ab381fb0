import { MAX_TARGETS } from '@rollcall/core';
import type { ErrorCode, Log, Protocol, Random, RollcallError, Suspicion, Time } from '@rollcall/core';
import type { NoneReason } from '../../balance/balancer.js';
import type { CallerLocality } from '../../balance/caller-locality.js';
import type { Node } from '../../balance/nodes/node.js';
import { selectorFor, standardSelector } from '../../balance/nodes/selector.js';
import type { Selector, SelectorOptions } from '../../balance/nodes/selector.js';
import type { Services, ServiceView } from '../../discovery/catalog.js';
import { CallCounter } from '../../telemetry/call-stats.js';
import type { EdgeStats } from '../../telemetry/call-stats.js';
import type { CallerEvents } from '../../telemetry/events.js';
import { targetsOf } from '../../telemetry/instance-stats.js';
import { ServiceEvents } from '../../telemetry/metrics.js';
import type { CallInstruments } from '../../telemetry/metrics.js';
import type { GrpcRequest } from '../../transport/grpc/message.js';
import type { HttpRequest } from '../../transport/http/message.js';
import type { TcpRequest } from '../../transport/tcp/message.js';
import type { FailureKind } from '../../transport/transport.js';
import type { Transport } from '../../transport/transport.js';
import type { Inherited } from '../policy/call-options.js';
import { RetryBudget } from '../policy/retry.js';
import type { CallPolicy } from '../policy/service-options.js';
import type { TimerWheel } from '../policy/timer-wheel.js';
import { noneError } from './call-error.js';
import type { CallContext } from './call-request.js';
import { Upstream } from './upstream.js';

/** The dependencies that the calls to all services share. */
export interface SharedParts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly wheel: TimerWheel;
  readonly hedgeWheel: TimerWheel;
  readonly services: Services;
  readonly locality: CallerLocality;
  readonly instruments: CallInstruments;
  readonly events: CallerEvents;
  readonly tcp: Transport<TcpRequest>;
  readonly http: Transport<HttpRequest>;
  readonly grpc: Transport<GrpcRequest>;
  suspect(id: string, outcome: Suspicion['outcome']): void;
  /** Called when the last call to the service has ended. */
  idle(callee: CalledService): void;
  inherited(): Inherited;
}

/** Errors that are not failures of the service: the handler's own error, and the caller's cancel. */
const NO_FAILURE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['REMOTE', 'CANCELLED']);

const MAX_SELECTORS = 64;
/** The longest wait for a name that the registry does not know, ms: a service that is starting has registered by then. */
export const UNKNOWN_WAIT_MS = 2_000;

/** A called service: its view of the catalog, its policy, its retry budget and its bulkhead. */
export class CalledService implements CallContext {
  readonly service: string;
  readonly view: ServiceView;
  readonly policy: CallPolicy;
  readonly budget: RetryBudget;
  readonly wheel: TimerWheel;
  readonly hedgeWheel: TimerWheel;
  readonly hedgeRatio: number;
  readonly random: Random;
  readonly standard: Selector;
  readonly isDeadlineSet: boolean;
  readonly events: ServiceEvents;
  /** Calls under way. */
  inFlight = 0;
  readonly #around: SharedParts;
  readonly #edge: CallCounter;
  readonly #selectors = new Map<string, Selector>();
  readonly #unwatch: () => void;
  #tcp: Upstream<TcpRequest> | null = null;
  #http: Upstream<HttpRequest> | null = null;
  #grpc: Upstream<GrpcRequest> | null = null;

  constructor(service: string, policy: CallPolicy, around: SharedParts) {
    this.service = service;
    this.policy = policy;
    this.isDeadlineSet = policy.isDeadlineSet ?? false;
    this.view = around.services.service(service);
    this.events = new ServiceEvents(this, around.time, around.instruments, around.events);
    this.#edge = new CallCounter(service);
    this.wheel = around.wheel;
    this.hedgeWheel = around.hedgeWheel;
    this.hedgeRatio = policy.hedgeRatio;
    this.random = around.random;
    this.budget = new RetryBudget({ ratio: policy.retryRatio, perSecond: policy.retriesPerSecond });
    this.standard = standardSelector(policy.allowedStates);
    this.#around = around;
    this.#unwatch = this.view.onChange(() => this.#update());
  }

  /** Created on first use, as is its balancer. */
  get tcp(): Upstream<TcpRequest> {
    return (this.#tcp ??= this.#lane(this.#around.tcp));
  }

  get http(): Upstream<HttpRequest> {
    return (this.#http ??= this.#lane(this.#around.http));
  }

  get grpc(): Upstream<GrpcRequest> {
    return (this.#grpc ??= this.#lane(this.#around.grpc));
  }

  /** The upstreams that have been used. */
  get upstreams(): readonly Upstream<never>[] {
    return [this.#tcp, this.#http, this.#grpc].filter((upstream) => upstream !== null);
  }

  now(): number {
    return this.#around.time.now();
  }

  /** Returns the same object for the same selection, so that balancers can cache their arrangement for it. */
  selector(options: SelectorOptions): Selector {
    const { states, version, metadata } = options;
    if (states === undefined && version === undefined && metadata === undefined) return this.standard;
    const selector = selectorFor(options, this.standard);
    const known = selector.key === '' ? selector : this.#selectors.get(selector.key);
    if (known !== undefined) return known;
    if (this.#selectors.size >= MAX_SELECTORS) this.#selectors.clear();
    this.#selectors.set(selector.key, selector);
    return selector;
  }

  attemptsAt(node: Node): number {
    const retries = this.policy.states[node.instance.state].retries;
    return retries === undefined ? this.policy.attempts : retries + 1;
  }

  inherited(): Inherited {
    return this.#around.inherited();
  }

  retried(node: Node, isHedge: boolean, now: number): void {
    if (isHedge) return this.events.hedged(node.id);
    this.#edge.retried(now);
    this.events.retried();
  }

  exhausted(node: Node, failure: FailureKind): void {
    this.events.exhausted(node.id, failure);
  }

  pendingMs(protocol: Protocol, selector: Selector): number {
    return this.#waitMs(this[protocol].balancer.whyNone(selector, this.now()));
  }

  beginWait(protocol: Protocol, selector: Selector): number {
    const reason = this[protocol].balancer.whyNone(selector, this.now());
    this.events.waited(reason);
    return this.#waitMs(reason);
  }

  #waitMs(reason: NoneReason): number {
    if (reason === 'NO_ENDPOINT') return 0;
    if (reason !== 'NO_INSTANCE') return Infinity;
    const { status, instances, isWatched } = this.view;
    const isRefused = status === 'unknown' && instances.length === 0;
    // the name is invalid: no service can have this name
    if (isRefused && !isWatched) return 0;
    return isRefused ? Math.min(UNKNOWN_WAIT_MS, this.policy.catalogWaitMs) : this.policy.catalogWaitMs;
  }

  noneError(protocol: Protocol, selector: Selector): RollcallError {
    const reason = this[protocol].balancer.whyNone(selector, this.now());
    if (reason === 'OVERLOADED') this.events.shed('limit', null);
    return noneError(reason, { view: this.view, protocol, selector, names: this.#around.services.names() });
  }

  ended(startedAt: number, now: number, error: RollcallError | null): void {
    this.inFlight -= 1;
    this.#edge.ended(now - startedAt, error !== null && !NO_FAILURE.has(error.code), now);
    this.events.ended(now - startedAt, error);
    if (this.inFlight === 0) this.#around.idle(this);
  }

  /** See `EdgeStats`; null if there is nothing to report. */
  edge(): EdgeStats | null {
    const now = this.now();
    return this.#edge.stats(this.inFlight, now, targetsOf(this.upstreams, now, MAX_TARGETS));
  }

  /** Unsubscribes from the catalog. */
  close(): void {
    this.#unwatch();
  }

  #lane<Request>(transport: Transport<Request>): Upstream<Request> {
    const { random, wheel, log, time, locality } = this.#around;
    const upstream = new Upstream<Request>({
      transport,
      random,
      wheel,
      log,
      policy: this.policy,
      standard: this.standard,
      locality,
      copy: this.view,
      suspect: (id, outcome) => this.#around.suspect(id, outcome),
      events: this.events,
      now: () => time.now(),
    });
    upstream.update(this.view.instances, time.now());
    return upstream;
  }

  #update(): void {
    const now = this.now();
    this.#tcp?.update(this.view.instances, now);
    this.#http?.update(this.view.instances, now);
    this.#grpc?.update(this.view.instances, now);
  }
}
