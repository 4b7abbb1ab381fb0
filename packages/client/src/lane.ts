import { addressOf, shortId } from '@rollcall/core';
import type { Endpoint, Instance, Log, Protocol, Random, Suspicion } from '@rollcall/core';
import { Balancer } from './balance/balancer.js';
import type { Selector } from './balance/balancer.js';
import { BALANCERS } from './balance/balancers.js';
import { TypicalLatency } from './balance/loads.js';
import { Node } from './balance/node.js';
import type { NodeParts, Pulse } from './balance/node.js';
import type { CallPolicy } from './call-options.js';
import { Breaker } from './gate/breaker.js';
import type { EjectionCause } from './gate/breaker.js';
import { defaultTripRules } from './gate/trip-rules.js';
import { bucketOf, LatencyProfile } from './latency.js';
import { ping } from './ping.js';
import { TRAITS } from './transport/transport.js';
import type { Channel, Failure, Transport } from './transport/transport.js';
import type { Wheel } from './wheel.js';

/** A node with the way to it. */
export class Station<Request> extends Node {
  readonly channel: Channel<Request>;
  /** The last failure of its connections: all calls on a broken one fail with the same object, which counts once. */
  lastIncident: Failure | null = null;

  constructor(parts: NodeParts, channel: Channel<Request>) {
    super(parts);
    this.channel = channel;
  }
}

/** What the callers of one method see of it, whichever instance answers. */
export class Method {
  readonly latency = new LatencyProfile();
  lastSuccessAt = -Infinity;
}

/** An attempt as the lane sees it. */
export interface Attempted<Request> {
  readonly node: Station<Request>;
  readonly method: Method;
  /** When it began, or when its connection was open: opening one says nothing about the instance's load. */
  readonly sentAt: number;
  readonly isProbe: boolean;
  /** How long it would have been waited for, ms: what a failure counts as, at least. */
  readonly patienceMs: number;
}

export interface LaneParts<Request> {
  readonly transport: Transport<Request>;
  readonly policy: CallPolicy;
  readonly standard: Selector;
  readonly random: Random;
  readonly wheel: Wheel;
  readonly log: Log;
  now(): number;
  ejected(cause: EjectionCause): void;
  /** Tells the registry that an instance failed us. */
  suspect(id: string, outcome: Suspicion['outcome']): void;
}

/** A method's attempt timeout is this multiple of its p99, … */
const P99_MULTIPLE = 3;
/** … but never less than this. */
const MIN_ATTEMPT_MS = 150;
/** A failure counts as this multiple of the method's median, at least; a timeout shorter than that may be the method's fault. */
const MEDIAN_MULTIPLE = 10;
/** A cancelled attempt would have taken longer than it did: it counts as so many times its age. */
const CENSORED = 4;
const MOST_METHODS = 256;

const TIMEOUT: Failure = { kind: 'timeout', cause: null };

/**
 * One service over one protocol: its balancer and the statistics of its methods. Every outcome goes through here once and feeds all
 * of them: load, gates, latency profiles, and the registry's suspicion.
 */
export class Lane<Request> {
  readonly balancer: Balancer<Station<Request>>;
  readonly protocol: Protocol;
  readonly #parts: LaneParts<Request>;
  readonly #methods = new Map<string, Method>();
  readonly #typical = new TypicalLatency();
  readonly #pulse: Pulse = { lastAnswerAt: -Infinity };

  constructor(parts: LaneParts<Request>) {
    this.#parts = parts;
    this.protocol = parts.transport.protocol;
    this.balancer = new Balancer({
      picker: BALANCERS[parts.policy.balancer].picker(parts.random),
      standard: parts.standard,
      maxEjectedRatio: parts.policy.maxEjectedRatio,
      create: (instance) => this.#create(instance),
      hasMoved: (node, instance) => !isSameEndpoint(node.endpoint, this.#endpoint(instance)),
      retire: (node) => node.channel.retire(),
      ping: (node) => this.#ping(node),
    });
  }

  /** The method with this name; beyond 256 of them the rest share one. */
  method(name: string): Method {
    const known = this.#methods.get(name);
    if (known !== undefined) return known;
    const key = this.#methods.size < MOST_METHODS ? name : '';
    const method = this.#methods.get(key) ?? new Method();
    this.#methods.set(key, method);
    return method;
  }

  /** How long an attempt is waited for before another is made: what the method takes at most, with a wide margin. */
  patienceMs(method: Method, node: Node, now: number): number {
    const mostMs = this.#parts.policy.states[node.instance.state].timeoutMs ?? this.#parts.policy.attemptTimeoutMs;
    const p99Ms = method.latency.p99Ms(now);
    return p99Ms === null ? mostMs : Math.min(mostMs, Math.max(MIN_ATTEMPT_MS, P99_MULTIPLE * p99Ms));
  }

  /** The handler ran. What it said is no matter. */
  answered(attempt: Attempted<Request>, now: number): void {
    const { node } = attempt;
    this.#end(attempt);
    node.answered(now);
    attempt.method.lastSuccessAt = now;
    this.#succeeded(node, now);
    // an own stall between inflates the round trip: it says nothing about the others
    if (attempt.sentAt < this.#parts.wheel.stalledAt) return;
    const ms = now - attempt.sentAt;
    const bucket = bucketOf(ms);
    node.latency.record(bucket, now);
    attempt.method.latency.record(bucket, now);
    node.load.observe(ms, now);
    this.#typical.observe(ms);
  }

  /** An event was written. That says nothing, but to a breaker: there is a connection, and its identity was checked. */
  written(attempt: Attempted<Request>, now: number): void {
    this.#end(attempt);
    if (attempt.isProbe) this.#succeeded(attempt.node, now);
  }

  failed(attempt: Attempted<Request>, failure: Failure, now: number): void {
    const { node } = attempt;
    const { says, suspicion } = TRAITS[failure.kind];
    if (says === 'fine') return this.answered(attempt, now);
    this.#end(attempt);
    if (failure.kind === 'timeout') return this.#timedOut(attempt, now);
    if (says === 'nothing') return;
    if (failure.kind === 'overloaded' || failure.kind === 'unavailable') node.answered(now);
    node.load.observe(this.#penaltyMs(attempt, failure, now), now);
    if (suspicion !== null) this.#parts.suspect(node.id, suspicion);
    if (suspicion !== null && node.lastIncident === failure) return;
    node.lastIncident = suspicion === null ? null : failure;
    this.#judge(node, failure, now);
  }

  #succeeded(node: Station<Request>, now: number): void {
    const before = node.breaker.cause;
    this.balancer.succeeded(node, now);
    if (before === null || node.breaker.cause !== null) return;
    this.#parts.log.info(`${shortId(node.instance)} at ${addressOf(node.endpoint)} answers again and gets calls.`);
  }

  /** Nobody waits any more, through no fault of the instance. */
  cancelled(attempt: Attempted<Request>, now: number): void {
    this.#end(attempt);
    const atLeastMs = (now - attempt.sentAt) * CENSORED;
    // a shorter time than usual says nothing: it was not the answer that ended it
    if (atLeastMs > this.#typical.ms) attempt.node.load.observe(atLeastMs, now);
  }

  /**
   * A timeout counts against the instance only if it is long for the method, or if nothing else of the method came back meanwhile:
   * a slow method is no sick instance. The load learns of it either way.
   */
  #timedOut(attempt: Attempted<Request>, now: number): void {
    const { node, method } = attempt;
    const ms = now - attempt.sentAt;
    const medianMs = method.latency.medianMs(now);
    method.latency.record(bucketOf(ms), now);
    node.load.observe(this.#penaltyMs(attempt, null, now), now);
    const isLong = ms > (medianMs === null ? attempt.patienceMs : MEDIAN_MULTIPLE * medianMs);
    if (!isLong && method.lastSuccessAt > attempt.sentAt) return;
    this.#parts.suspect(node.id, 'timeout');
    this.#judge(node, TIMEOUT, now);
  }

  #judge(node: Station<Request>, failure: Failure, now: number): void {
    const before = node.breaker.cause;
    const { says } = TRAITS[failure.kind];
    if (says === 'absent') this.balancer.absent(node, now);
    else if (says === 'failing') this.balancer.failed(node, now);
    const { cause } = node.breaker;
    if (cause === before || cause === null) return;
    this.#parts.ejected(cause);
    this.#parts.log.warn(
      `${shortId(node.instance)} at ${addressOf(node.endpoint)} is ejected here, the last failure being: ${failure.kind}.`,
    );
  }

  #end(attempt: Attempted<Request>): void {
    attempt.node.end();
    if (attempt.isProbe) this.balancer.endProbe(attempt.node);
  }

  #penaltyMs(attempt: Attempted<Request>, failure: Failure | null, now: number): number {
    const medianMs = attempt.method.latency.medianMs(now) ?? this.#typical.ms;
    return Math.max(attempt.patienceMs, MEDIAN_MULTIPLE * medianMs, failure?.retryAfterMs ?? 0);
  }

  #create(instance: Instance): Station<Request> | null {
    const endpoint = this.#endpoint(instance);
    if (endpoint === undefined) return null;
    const { policy, random, transport } = this.#parts;
    const parts: NodeParts = {
      instance,
      endpoint,
      load: BALANCERS[policy.balancer].load(this.#typical),
      breaker: new Breaker(defaultTripRules(), random),
      pulse: this.#pulse,
    };
    return new Station(parts, transport.channel({ instance, endpoint }));
  }

  #endpoint(instance: Instance): Endpoint | undefined {
    return instance.endpoints.find((endpoint) => endpoint.protocol === this.protocol);
  }

  #ping(node: Station<Request>): void {
    const { policy, wheel } = this.#parts;
    const terms = { channel: node.channel, wheel, timeoutMs: policy.attemptTimeoutMs, now: this.#parts.now() };
    ping(terms, (failure) => {
      if (failure === null) return this.balancer.pinged(node);
      this.balancer.endProbe(node);
      this.#judge(node, failure, this.#parts.now());
    });
  }
}

function isSameEndpoint(one: Endpoint, other: Endpoint | undefined): boolean {
  return other !== undefined && one.host === other.host && one.port === other.port && one.tls === other.tls;
}
