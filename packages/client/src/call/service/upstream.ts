import { addressOf, shortId } from '@rollcall/core';
import type { Endpoint, Instance, Log, Protocol, Random, Suspicion } from '@rollcall/core';
import { Balancer } from '../../balance/balancer.js';
import type { Balancing } from '../../balance/balancers.js';
import { preferencesOf } from '../../balance/caller-locality.js';
import type { CallerLocality } from '../../balance/caller-locality.js';
import { bucketOf } from '../../balance/nodes/latency.js';
import { TypicalLatency } from '../../balance/nodes/loads.js';
import { NodeTable } from '../../balance/nodes/node-table.js';
import type { Node, NodeParts } from '../../balance/nodes/node.js';
import { isSelected } from '../../balance/nodes/selector.js';
import type { Selector } from '../../balance/nodes/selector.js';
import { CALLS, FAILURES } from '../../balance/nodes/window-counts.js';
import { tierOf } from '../../balance/tiers.js';
import { balancingOf } from '../../balance/untrusted-balancer.js';
import { Breaker } from '../../breaker/breaker.js';
import { defaultTripRules } from '../../breaker/trip-rules.js';
import type { ServiceState, StateEvent } from '../../telemetry/events.js';
import { PickLog } from '../../telemetry/pick-log.js';
import { stateOf } from '../../telemetry/service-state.js';
import type { LaneEvents } from '../../telemetry/service-state.js';
import { TIMEOUT, TRAITS } from '../../transport/transport.js';
import type { Failure, Transport } from '../../transport/transport.js';
import type { MethodRules } from '../policy/method-policy.js';
import { methodRules, declaredMethods, publishedFor } from '../policy/method-policy.js';
import type { CallPolicy } from '../policy/service-options.js';
import { STALL_NOTICE_MS } from '../policy/timer-wheel.js';
import type { TimerWheel } from '../policy/timer-wheel.js';
import { ConnectedNode } from './connected-node.js';
import type { Attempted } from './connected-node.js';
import { Method } from './method.js';
import type { RulesSource } from './method.js';
import { PendingQueue } from './pending-queue.js';
import { ping } from './ping.js';

export interface UpstreamParts<Request> {
  readonly transport: Transport<Request>;
  readonly policy: CallPolicy;
  readonly standard: Selector;
  readonly locality: CallerLocality;
  /** The catalog's view of the service. */
  readonly copy: { readonly stale: boolean };
  readonly random: Random;
  readonly wheel: TimerWheel;
  readonly log: Log;
  now(): number;
  readonly events: LaneEvents;
  /** Reports to the registry that an instance failed. */
  suspect(id: string, outcome: Suspicion['outcome']): void;
}

/** A method's attempt timeout is this multiple of its p99, … */
const P99_MULTIPLE = 3;
/** … but not less than this. */
const MIN_ATTEMPT_MS = 150;
/** A failure counts as at least this multiple of the method's median; a shorter timeout may be too short for the method. */
const MEDIAN_MULTIPLE = 10;
const MAX_DOUBLINGS = 2;
/** A cancelled attempt counts as this multiple of its age, since it would have taken longer. */
const CANCELLED_AGE_MULTIPLE = 4;
/** Names may come from untrusted input: this many methods at most have statistics of their own, … */
const MAX_METHODS = 256;
/** … and up to this many if a policy is set for them, so that untrusted names cannot displace them. */
const MAX_DECLARED_METHODS = 1_024;

/** The tier of instances that both the registry and this process consider healthy. */
const CALM_TIER = 0;

/**
 * One service over one protocol: its balancer and the statistics of its methods. Each outcome is recorded here once and updates all of
 * them: load, gates, latency profiles, and the failure reports to the registry.
 */
export class Upstream<Request> implements RulesSource {
  readonly balancer: Balancer<ConnectedNode<Request>>;
  readonly protocol: Protocol;
  readonly picks = new PickLog();
  /** Calls that currently no instance accepts. */
  readonly pending: PendingQueue;
  /** After this time a request that waits for its connection may move to another instance, ms. */
  readonly connectTimeoutMs: number;
  /** Revision of the published method policies; see `RulesSource`. */
  revision = 0;
  readonly #parts: UpstreamParts<Request>;
  readonly #methods = new Map<string, Method>();
  readonly #typical = new TypicalLatency();
  readonly #nodeTable: NodeTable;
  /** Names of the methods with a policy, as of `revision`. */
  #declared: ReadonlySet<string> = new Set();
  #declaredAt = -1;
  /** Reused for each pick to avoid an allocation. */
  readonly #tierContext = { now: 0, isStale: false };
  /** Callable instances that publish method policies. */
  #publishers: readonly Instance[] = [];
  #state: ServiceState = 'CLOSED';
  #isKnown = false;
  readonly #balancing: Balancing;

  constructor(parts: UpstreamParts<Request>) {
    this.#parts = parts;
    this.protocol = parts.transport.protocol;
    this.connectTimeoutMs = parts.transport.connectTimeoutMs ?? Infinity;
    this.pending = new PendingQueue(parts.wheel);
    const { policy, locality } = parts;
    this.#balancing = balancingOf(policy.balancer, parts.log);
    this.#nodeTable = new NodeTable(this.#balancing.load(this.#typical));
    this.balancer = new Balancer({
      picker: this.#balancing.picker(parts.random),
      standard: parts.standard,
      maxEjectedRatio: policy.maxEjectedRatio,
      preferences: preferencesOf(policy, locality.zone, this.#balancing),
      callerId: locality.id,
      copy: parts.copy,
      intervalMs: () => locality.intervalMs(),
      create: (instance) => this.#create(instance),
      hasMoved: (node, instance) => !isSameEndpoint(node.endpoint, this.#endpoint(instance)),
      retire: (node) => node.channel.retire(),
      ping: (node) => this.#ping(node),
    });
  }

  /** The method with this name; beyond 256 methods the others share one, except those with a policy. */
  method(name: string): Method {
    const known = this.#methods.get(name);
    if (known !== undefined) return known;
    const key = this.#methods.size < MAX_METHODS || this.#isDeclared(name) ? name : '';
    const method = this.#methods.get(key) ?? new Method(key, this);
    this.#methods.set(key, method);
    return method;
  }

  /** The state of the service in this process, over this protocol. */
  get state(): ServiceState {
    return this.#state;
  }

  /** Takes the current instances from the catalog. */
  update(instances: readonly Instance[], now: number): void {
    this.balancer.update(instances, now);
    this.#updatePublishers(instances);
    this.#isKnown ||= instances.length > 0;
    if (this.#isKnown) this.#emitStateChange('registry');
    this.serve(now);
  }

  /** Sends waiting calls after a change that may allow it. Must not be called in the middle of a change. */
  serve(now: number): void {
    if (this.pending.size > 0) this.pending.serve(now);
  }

  /**
   * True if connecting to its node takes too long. This counts against the node once per connection, and ends a probe: the next probe tries
   * a new connection.
   */
  isStalled(attempt: Attempted<Request>, now: number): boolean {
    const { node } = attempt;
    const stall = node.channel.stall ?? null;
    if (stall === null) return false;
    if (attempt.isProbe) {
      attempt.isProbe = false;
      this.balancer.endProbe(node);
    }
    if (node.lastIncident !== stall) {
      node.lastIncident = stall;
      this.#parts.suspect(node.id, 'timeout');
      this.#judge(node, stall, now);
    }
    return true;
  }

  rulesOf(method: string): MethodRules {
    const { policy } = this.#parts;
    const own =
      policy.methods !== undefined && Object.hasOwn(policy.methods, method) ? policy.methods[method] : undefined;
    return methodRules(own, publishedFor(method, this.#publishers));
  }

  /** Updates the published policies; bumps the revision only if an instance that publishes any has changed. */
  #updatePublishers(instances: readonly Instance[]): void {
    const { standard } = this.#parts;
    const publishers = instances
      .filter(({ methods }) => methods !== undefined)
      .filter((one) => isSelected(one, standard));
    const before = this.#publishers;
    if (publishers.length === before.length && publishers.every((one, at) => one === before[at])) return;
    this.#publishers = publishers;
    this.revision += 1;
  }

  #isDeclared(name: string): boolean {
    if (this.#methods.size >= MAX_DECLARED_METHODS) return false;
    if (this.#declaredAt !== this.revision) {
      this.#declared = declaredMethods(this.#parts.policy.methods ?? {}, this.#publishers);
      this.#declaredAt = this.revision;
    }
    return this.#declared.has(name);
  }

  /** How long an attempt may take, ms: the method's usual maximum, with a margin. `timeoutMs`: its own timeout, or Infinity. */
  patienceMs(method: Method, node: Node, timeoutMs: number, now: number): number {
    const stateMs = this.#parts.policy.states[node.instance.state].timeoutMs;
    const usualMs = stateMs ?? this.#parts.policy.attemptTimeoutMs;
    const maxMs = timeoutMs === Infinity ? usualMs : Math.min(timeoutMs, stateMs ?? Infinity);
    const p99Ms = method.latency.p99Ms(now);
    return p99Ms === null ? maxMs : Math.min(maxMs, Math.max(MIN_ATTEMPT_MS, P99_MULTIPLE * p99Ms));
  }

  /** Records the start of an attempt. `expectsAnswer`: false for events. */
  begin(attempt: Attempted<Request>, expectsAnswer: boolean, now: number): void {
    const { node } = attempt;
    attempt.pick = this.picks.note(attempt, node.id, node.isCalm ? CALM_TIER : this.#tierOf(node, now), now);
    node.begin(now, expectsAnswer);
  }

  /** Records a response: the handler ran and returned any result. */
  answered(attempt: Attempted<Request>, now: number, outcome = 'success'): void {
    const { node } = attempt;
    this.#end(attempt, outcome, now);
    // the event loop of this process stalled, so the measured round trip is too long and looks like silence: ignore it
    const hasStalled = this.#parts.wheel.hasStalled(attempt.sentAt, now);
    if (hasStalled) node.ignoreSilenceBefore(now);
    node.answered(now);
    node.failuresInARow = 0;
    this.#succeeded(node, now);
    if (hasStalled) return;
    const ms = now - attempt.sentAt;
    const bucket = bucketOf(ms);
    node.latency.record(bucket, now);
    attempt.method.latency.record(bucket, now);
    node.observe(ms, now, true);
    this.#typical.observe(ms);
  }

  /** Records a written event. Only the breaker learns from it: there is a connection, and its identity was checked. */
  written(attempt: Attempted<Request>, now: number): void {
    this.#end(attempt, 'success', now);
    if (attempt.isProbe) this.#succeeded(attempt.node, now);
  }

  failed(attempt: Attempted<Request>, failure: Failure, now: number): void {
    const { node } = attempt;
    const { verdict, suspicion } = TRAITS[failure.kind];
    this.#parts.events.failed(failure.kind);
    if (verdict === 'fine') return this.answered(attempt, now, failure.kind);
    this.#end(attempt, failure.kind, now, failure.cause);
    node.count(FAILURES, now);
    if (failure.kind === 'timeout') return this.#timedOut(attempt, now);
    if (verdict === 'nothing') return;
    // if the peer closed a connection while this process stalled, it does not count against the peer
    if (suspicion === 'closed' && this.#parts.wheel.hasStalled(attempt.sentAt - STALL_NOTICE_MS, now)) return;
    if (failure.kind === 'overloaded' || failure.kind === 'unavailable') node.answered(now);
    if (verdict === 'busy') node.limit.overloaded(attempt.sentAt, now, node.inFlight + 1);
    node.observe(this.#penaltyMs(attempt, failure, now), now);
    if (suspicion !== null) this.#parts.suspect(node.id, suspicion);
    if (suspicion !== null && node.lastIncident === failure) return;
    node.lastIncident = suspicion === null ? null : failure;
    if (failure.kind === 'congested') this.#parts.events.shed('congested', node.id);
    this.#judge(node, failure, now);
  }

  /** Records an attempt that was cancelled for a reason other than the instance. */
  cancelled(attempt: Attempted<Request>, now: number): void {
    this.#end(attempt, 'cancelled', now);
    const atLeastMs = (now - attempt.sentAt) * CANCELLED_AGE_MULTIPLE;
    // a time shorter than usual is no evidence: the attempt did not end with a response
    if (atLeastMs > this.#typical.ms) attempt.node.observe(atLeastMs, now);
  }

  /**
   * Another attempt of the same call (its hedge, or the hedged one) was faster. If this one began first, its age is recorded: the method
   * takes at least that without a hedge, and otherwise its p95, which triggers hedges, would become too low.
   */
  overtaken(attempt: Attempted<Request>, winner: Attempted<Request>, now: number): void {
    this.cancelled(attempt, now);
    if (attempt.startedAt >= winner.startedAt) return;
    attempt.method.latency.record(bucketOf(now - attempt.sentAt), now);
  }

  #tierOf(node: Node, now: number): number {
    this.#tierContext.now = now;
    this.#tierContext.isStale = this.#parts.copy.stale;
    return tierOf(node, this.#tierContext);
  }

  #succeeded(node: ConnectedNode<Request>, now: number): void {
    if (node.isCalm) return this.balancer.succeeded(node, now);
    const before = node.breaker.cause;
    this.balancer.succeeded(node, now);
    if (before === null || node.breaker.cause === before) return;
    this.#emitStateChange('experience');
    if (node.breaker.cause !== null) return;
    this.#parts.events.readmitted(this.protocol, node.id, before);
    this.#parts.log.info(`${shortId(node.instance)} at ${addressOf(node.endpoint)} answers again and gets calls.`);
  }

  /**
   * A timeout counts against the instance only if it is long for the method, or if the instance sent no other response meanwhile: a slow
   * method does not mean a failing instance. The load estimate includes the timeout in both cases.
   */
  #timedOut(attempt: Attempted<Request>, now: number): void {
    const { node, method, patienceMs, sentAt } = attempt;
    const ms = now - sentAt;
    const medianMs = method.latency.medianMs(now);
    const stalledMs = this.#parts.wheel.stalledMs(sentAt, now);
    // this process stalled and read no responses: a time that is long only because of that is no evidence against the instance
    if (stalledMs > 0 && ms - stalledMs < Math.min(ms, patienceMs)) return;
    node.observe(this.#penaltyMs(attempt, null, now), now);
    // the caller chose a time that is shorter than the method usually takes: do not record it
    if (stalledMs === 0 && ms >= (medianMs ?? patienceMs)) method.latency.record(bucketOf(ms), now);
    const isLong = ms > (medianMs === null ? patienceMs : MEDIAN_MULTIPLE * medianMs);
    if (isLong && stalledMs === 0) node.limit.overloaded(sentAt, now, node.inFlight + 1);
    if (!isLong && node.lastSuccessAt > sentAt) return;
    this.#parts.suspect(node.id, 'timeout');
    this.#judge(node, TIMEOUT, now);
  }

  #judge(node: ConnectedNode<Request>, failure: Failure, now: number): void {
    const before = node.breaker.cause;
    const { verdict } = TRAITS[failure.kind];
    if (verdict === 'absent') this.balancer.absent(node, now);
    else if (verdict === 'failing') this.balancer.failed(node, now);
    const { cause } = node.breaker;
    if (cause === before || cause === null) return;
    this.#parts.events.ejected(this.protocol, node.id, cause, failure.kind);
    this.#emitStateChange('experience');
    this.#parts.log.warn(
      `${shortId(node.instance)} at ${addressOf(node.endpoint)} is ejected here. Its last failure: ${failure.kind}.`,
    );
  }

  /** Emits an event when the state of the service has changed. */
  #emitStateChange(cause: StateEvent['cause']): void {
    const before = this.#state;
    const mayBeEjected = cause === 'experience' || before !== 'CLOSED';
    const state = stateOf(this.balancer.nodes, this.#parts.standard, mayBeEjected);
    if (state === before) return;
    this.#state = state;
    this.#parts.events.became(this.protocol, state, cause);
  }

  #end(attempt: Attempted<Request>, outcome: string, now: number, cause: unknown = null): void {
    if (attempt.trace !== null) attempt.trace.ended(outcome, cause);
    this.picks.settle(attempt.pick, outcome, now);
    attempt.node.end();
    attempt.node.count(CALLS, now);
    if (attempt.isProbe) this.balancer.endProbe(attempt.node);
  }

  /**
   * The latency that a failure counts as, ms. A single failure may be due to chance. Each consecutive failure counts double: otherwise an
   * instance that fails fast, but must not be ejected because too many are, would get calls once the others are busy. A timeout counts like
   * a cancelled attempt.
   */
  #penaltyMs(attempt: Attempted<Request>, failure: Failure | null, now: number): number {
    const { node, method, patienceMs, sentAt } = attempt;
    const usualMs = MEDIAN_MULTIPLE * (method.latency.medianMs(now) ?? this.#typical.ms);
    const onceMs = Math.max(usualMs, failure === null ? CANCELLED_AGE_MULTIPLE * (now - sentAt) : patienceMs);
    const maxMs = Math.max(usualMs, patienceMs, this.#parts.policy.attemptTimeoutMs);
    const doublings = Math.min(MAX_DOUBLINGS, node.failuresInARow);
    node.failuresInARow += 1;
    return Math.max(Math.min(onceMs * 2 ** doublings, maxMs), failure?.retryAfterMs ?? 0);
  }

  #create(instance: Instance): ConnectedNode<Request> | null {
    const endpoint = this.#endpoint(instance);
    if (endpoint === undefined) return null;
    const { policy, random, transport } = this.#parts;
    const parts: NodeParts = {
      instance,
      endpoint,
      limit: policy.limit,
      breaker: new Breaker(defaultTripRules(), random),
      nodeTable: this.#nodeTable,
    };
    return new ConnectedNode(parts, transport.channel({ instance, endpoint }));
  }

  #endpoint(instance: Instance): Endpoint | undefined {
    return instance.endpoints.find((endpoint) => endpoint.protocol === this.protocol);
  }

  #ping(node: ConnectedNode<Request>): void {
    const { policy, wheel } = this.#parts;
    const terms = { channel: node.channel, wheel, timeoutMs: policy.attemptTimeoutMs, now: this.#parts.now() };
    ping(terms, (failure) => {
      const now = this.#parts.now();
      if (failure === null) this.balancer.pinged(node);
      else {
        this.balancer.endProbe(node);
        this.#judge(node, failure, now);
      }
      this.serve(now);
    });
  }
}

function isSameEndpoint(one: Endpoint, other: Endpoint | undefined): boolean {
  return other !== undefined && one.host === other.host && one.port === other.port && one.tls === other.tls;
}
