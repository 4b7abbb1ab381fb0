import type { Endpoint, Instance, InstanceId } from '@rollcall/core';
import type { Breaker, BreakerHost } from '../../breaker/breaker.js';
import { OPEN, SHUT } from '../../breaker/gate.js';
import type { Gate, GateListener } from '../../breaker/gate.js';
import { AdaptiveLimit, earlyLimit, isSilence } from '../../breaker/limit.js';
import type { LimitTerms } from '../../breaker/limit.js';
import { LatencyProfile } from './latency.js';
import { InFlight } from './loads.js';
import { NodeTable } from './node-table.js';
import type { Counted } from './window-counts.js';

/** The dependencies of a node. */
export interface NodeParts {
  readonly instance: Instance;
  readonly endpoint: Endpoint;
  readonly breaker: Breaker;
  readonly limit: LimitTerms;
  /** The table of all nodes of one balancer. */
  readonly nodeTable: NodeTable;
}

/** The initial share of calls of a new instance. */
const SLOW_START_MIN = 0.1;
/** The time in which the share grows linearly to 1: Envoy's slow start with aggression 1. */
const SLOW_START_MS = 10_000;

/**
 * The state that a caller keeps for one endpoint of one instance. It survives every update of the catalog, since an id stands for one
 * process.
 */
export class Node implements BreakerHost, GateListener {
  // the first two fields: every call reads them, and they share a cache line with the header of the object
  #nodeTable: NodeTable;
  #slot: number;
  readonly id: InstanceId;
  readonly endpoint: Endpoint;
  readonly breaker: Breaker;
  readonly latency = new LatencyProfile();
  readonly limit: AdaptiveLimit;
  /** The latest record from the registry. */
  instance: Instance;
  /** An instance that was HEALTHY and registers again keeps its tier until this time; otherwise -Infinity. */
  keptUntil = -Infinity;
  /** When the registry began to doubt the instance because of silence; -Infinity if it does not, or has proof of a failure. */
  doubtedAt = -Infinity;
  /** True if the doubt of the registry is ignored, because it doubts too many instances at once: see `registry-distrust.ts`. */
  isTrusted = false;
  /** True if the instance answered a ping, so that a call that cannot be repeated may be sent as a probe. */
  isPinged = false;
  /** The rank of the instance for this caller, for subsets: see `hash.ts`. */
  rank = 0;
  #isRetired = false;
  #warmAt = -Infinity;

  constructor(parts: NodeParts) {
    this.id = parts.instance.id;
    this.instance = parts.instance;
    this.endpoint = parts.endpoint;
    this.breaker = parts.breaker;
    this.limit = new AdaptiveLimit(parts.limit);
    this.#nodeTable = parts.nodeTable;
    this.#slot = parts.nodeTable.take();
    this.breaker.host = this;
    this.limit.listener = this;
    this.follow(parts.instance);
  }

  /** The lowest of the limits of the breaker, the adaptive limit and the early limit. */
  gate(now: number): Gate {
    const gate = Math.min(this.breaker.gate, this.limit.gate);
    const unanswered = this.#nodeTable.unanswered(this.#slot);
    if (!isSilence(unanswered)) return gate;
    const { pausedUntil, lastAnswerAt, lastAnswerer } = this.#nodeTable;
    const since = Math.max(this.#nodeTable.silentSince(this.#slot), pausedUntil);
    const hasAlternative = lastAnswerAt > since && lastAnswerer?.canTakeOver(now) === true;
    return Math.min(gate, earlyLimit(unanswered, now - since, this.latency.p99Ms(now), hasAlternative));
  }

  /** True if this node can take the calls of a silent instance. An estimated limit does not count; other nodes are not checked. */
  canTakeOver(now: number): boolean {
    if (this.#isRetired || !isStaying(this.instance) || this.breaker.cause !== null) return false;
    return this.inFlight < this.limit.gate || this.limit.mayRaise(now);
  }

  /** True if the node may take one more call. */
  admits(now: number): boolean {
    return this.inFlight < this.gate(now);
  }

  /** True if the gate is not shut, but all allowed calls are under way. */
  isFull(now: number): boolean {
    const gate = this.gate(now);
    return gate !== SHUT && this.inFlight >= gate;
  }

  /** Raises an estimated limit when no node has room for a call, unless the instance recently reported overload. */
  makeRoom(now: number): boolean {
    return this.inFlight >= this.limit.gate && this.breaker.gate === OPEN && this.limit.raise(now);
  }

  /** Calls under way; a stream counts until its first value. */
  get inFlight(): number {
    return this.#nodeTable.count(this.#slot);
  }

  /** The table with the counters of this node and of its siblings. */
  get nodeTable(): NodeTable {
    return this.#nodeTable;
  }

  get slot(): number {
    return this.#slot;
  }

  /** Counts a call that is sent to this node. `expectsAnswer` is false for events, which have no answer. */
  begin(now: number, expectsAnswer: boolean): void {
    this.#nodeTable.add(this.#slot, 1);
    if (!expectsAnswer) return;
    this.#nodeTable.expectAnswer(this.#slot, now);
    if (isSilence(this.#nodeTable.unanswered(this.#slot))) this.gateChanged();
  }

  /** Counts the end of a call, with any outcome. */
  end(): void {
    this.#nodeTable.add(this.#slot, -1);
  }

  /** Counts an attempt that ended, or its failure. */
  count(what: Counted, now: number): void {
    this.#nodeTable.windowCounts.count(this.#slot, what, now);
  }

  /** The attempts that ended in the last complete window. */
  counted(what: Counted, now: number): number {
    return this.#nodeTable.windowCounts.last(this.#slot, what, now);
  }

  /** Ignores earlier silence, because this process was paused. */
  ignoreSilenceBefore(now: number): void {
    this.#nodeTable.pausedUntil = now;
  }

  /** Records an answer, even a refusal. */
  answered(now: number): void {
    const wasSilent = isSilence(this.#nodeTable.unanswered(this.#slot));
    this.#nodeTable.answered(this.#slot, now, this);
    if (wasSilent) this.gateChanged();
  }

  get lastSuccessAt(): number {
    return this.#nodeTable.successAt(this.#slot);
  }

  /** True if the instance is HEALTHY and enabled, without a failure since the last success. Then the next success is only counted. */
  get isCalm(): boolean {
    return this.#nodeTable.isCalm(this.#slot);
  }

  /** One more success, after `end`. */
  countSuccess(now: number): void {
    this.#nodeTable.succeeded(this.#slot, now);
    const calls = this.inFlight + 1;
    // a success far below the limit does not affect it
    if (2 * calls >= this.#nodeTable.room(this.#slot)) this.limit.succeeded(calls, now);
  }

  successes(now: number): number {
    return this.#nodeTable.successes(this.#slot, now);
  }

  forgetSuccesses(): void {
    this.#nodeTable.forgetSuccesses(this.#slot);
  }

  /** Its weight in the registry, cached in the table. */
  get weight(): number {
    return this.#nodeTable.weight(this.#slot);
  }

  /** Takes over the current record from the registry. */
  follow(instance: Instance): void {
    this.instance = instance;
    this.#nodeTable.setWeight(this.#slot, instance.weight);
    this.gateChanged();
  }

  /** Records the duration of a call; a failure counts as a long one. */
  observe(ms: number, now: number, isAnswer = false): void {
    this.#nodeTable.load.observe(this.#slot, ms, now, isAnswer);
  }

  /** Discards all observations, as they are outdated. */
  forget(): void {
    this.#nodeTable.load.forget(this.#slot);
  }

  /** The load of the instance; `inFlight` is the number of calls under way, relative to its weight. Greater is worse. */
  cost(now: number, inFlight = this.inFlight): number {
    return this.#nodeTable.load.cost(this.#slot, now, inFlight);
  }

  startSlowly(now: number): void {
    this.#warmAt = now + SLOW_START_MS;
    this.gateChanged();
  }

  /** The share of its calls that the instance may get: 1 after the slow start. */
  warmth(now: number): number {
    const left = this.#warmAt - now;
    if (left > 0) return Math.max(SLOW_START_MIN, 1 - left / SLOW_START_MS);
    if (this.#warmAt !== -Infinity) this.#warmedUp();
    return 1;
  }

  /** While only the adaptive limit applies, a pick reads only this table. */
  gateChanged(): void {
    const isSilent = isSilence(this.#nodeTable.unanswered(this.#slot));
    const isPlain = this.breaker.gate === OPEN && !isSilent && this.#warmAt === -Infinity;
    const { state, admin } = this.instance;
    const isCalm = state === 'HEALTHY' && admin === 'ENABLED' && this.breaker.isCalm;
    this.#nodeTable.judge(this.#slot, isPlain ? this.limit.gate : 0, isCalm);
  }

  /** Removes the node from picking: its calls end normally, and another node gets its slot. */
  retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    const calls = this.inFlight;
    this.#nodeTable.release(this.#slot);
    this.#nodeTable = new NodeTable(new InFlight(), 1);
    this.#slot = this.#nodeTable.take();
    this.#nodeTable.add(this.#slot, calls);
  }

  #warmedUp(): void {
    this.#warmAt = -Infinity;
    this.gateChanged();
  }
}

const isStaying = ({ state, admin }: Instance): boolean =>
  admin === 'ENABLED' && state !== 'CRITICAL' && state !== 'DEREGISTERING';
