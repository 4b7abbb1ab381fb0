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

/** The parts of a node. */
export interface NodeParts {
  readonly instance: Instance;
  readonly endpoint: Endpoint;
  readonly breaker: Breaker;
  readonly limit: LimitTerms;
  /** The table of all nodes of one balancer. */
  readonly nodeTable: NodeTable;
}

/** A new instance gets this share of its calls at first, … */
const SLOW_START_MIN = 0.1;
/** … and all of them after this time; in a line between. Envoy's formula with aggression 1. */
const SLOW_START_MS = 10_000;

/**
 * What a caller knows of one endpoint of one instance. It survives every update of the catalog, as an id is one
 * process.
 */
export class Node implements BreakerHost, GateListener {
  // these two first: every call needs them, and they share a cache line with the object's head
  #nodeTable: NodeTable;
  #slot: number;
  readonly id: InstanceId;
  readonly endpoint: Endpoint;
  readonly breaker: Breaker;
  readonly latency = new LatencyProfile();
  readonly limit: AdaptiveLimit;
  /** The newest record. */
  instance: Instance;
  /** It was HEALTHY and is REGISTERING again: until then it keeps its tier; else -Infinity. */
  keptUntil = -Infinity;
  /** When the registry began to doubt it because of silence; -Infinity: it does not, or has proof. */
  doubtedAt = -Infinity;
  /** The registry doubts so large a share at once that its doubt does not count: see `registry-distrust.ts`. */
  isTrusted = false;
  /** It answered a ping while it waits for a live probe that cannot be repeated. */
  isPinged = false;
  /** Its rank for this caller when not all instances are used: see `hash.ts`. */
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

  /** The smallest limit of breaker, adaptive limit and early limit. */
  gate(now: number): Gate {
    const gate = Math.min(this.breaker.gate, this.limit.gate);
    const unanswered = this.#nodeTable.unanswered(this.#slot);
    if (!isSilence(unanswered)) return gate;
    const { heardSince, lastAnswerAt, lastAnswerer } = this.#nodeTable;
    const since = Math.max(this.#nodeTable.silentSince(this.#slot), heardSince);
    const hasAlternative = lastAnswerAt > since && lastAnswerer?.canTakeOver(now) === true;
    return Math.min(gate, earlyLimit(unanswered, now - since, this.latency.p99Ms(now), hasAlternative));
  }

  /** An estimated limit does not count against it. Does not ask the other nodes in turn. */
  canTakeOver(now: number): boolean {
    if (this.#isRetired || !isStaying(this.instance) || this.breaker.cause !== null) return false;
    return this.inFlight < this.limit.gate || this.limit.mayRaise(now);
  }

  /** True if it may take one more call. */
  admits(now: number): boolean {
    return this.inFlight < this.gate(now);
  }

  /** True if it is open, but has as many calls under way as it may have. */
  isFull(now: number): boolean {
    const gate = this.gate(now);
    return gate !== SHUT && this.inFlight >= gate;
  }

  /** Raises an estimated limit when no node has room for a call, if nothing speaks against it. */
  makeRoom(now: number): boolean {
    return this.inFlight >= this.limit.gate && this.breaker.gate === OPEN && this.limit.raise(now);
  }

  /** Calls under way; streams until their first value. */
  get inFlight(): number {
    return this.#nodeTable.count(this.#slot);
  }

  /** The table with the numbers that a pick reads, of this node and its siblings. */
  get nodeTable(): NodeTable {
    return this.#nodeTable;
  }

  get slot(): number {
    return this.#slot;
  }

  /** A call goes there. `expectsAnswer`: false for events, whose silence means nothing. */
  begin(now: number, expectsAnswer: boolean): void {
    this.#nodeTable.add(this.#slot, 1);
    if (!expectsAnswer) return;
    this.#nodeTable.expectAnswer(this.#slot, now);
    if (isSilence(this.#nodeTable.unanswered(this.#slot))) this.gateChanged();
  }

  /** It is over, with any outcome. */
  end(): void {
    this.#nodeTable.add(this.#slot, -1);
  }

  /** Counts an attempt that ended, or its failure. */
  count(what: Counted, now: number): void {
    this.#nodeTable.windowCounts.count(this.#slot, what, now);
  }

  /** The attempts that ended in the last whole window. */
  counted(what: Counted, now: number): number {
    return this.#nodeTable.windowCounts.last(this.#slot, what, now);
  }

  /** Marks earlier outcomes as unknown: this process was paused. */
  notHeardBefore(now: number): void {
    this.#nodeTable.heardSince = now;
  }

  /** It responded, even if it refused. */
  answered(now: number): void {
    const wasSilent = isSilence(this.#nodeTable.unanswered(this.#slot));
    this.#nodeTable.answered(this.#slot, now, this);
    if (wasSilent) this.gateChanged();
  }

  get lastSuccessAt(): number {
    return this.#nodeTable.successAt(this.#slot);
  }

  /** HEALTHY and enabled, and nothing failed since its last success: the next success only adds to the count. */
  get isCalm(): boolean {
    return this.#nodeTable.isCalm(this.#slot);
  }

  /** One more success, after `end`. */
  countSuccess(now: number): void {
    this.#nodeTable.succeeded(this.#slot, now);
    const calls = this.inFlight + 1;
    // far from its limit, nothing is learned of it
    if (2 * calls >= this.#nodeTable.room(this.#slot)) this.limit.succeeded(calls, now);
  }

  successes(now: number): number {
    return this.#nodeTable.successes(this.#slot, now);
  }

  forgetSuccesses(): void {
    this.#nodeTable.forgetSuccesses(this.#slot);
  }

  /** Its weight in the registry, kept at hand. */
  get weight(): number {
    return this.#nodeTable.weight(this.#slot);
  }

  /** Takes over its current record in the registry. */
  follow(instance: Instance): void {
    this.instance = instance;
    this.#nodeTable.setWeight(this.#slot, instance.weight);
    this.gateChanged();
  }

  /** Records the time of a call; a failure counts as a long one. */
  observe(ms: number, now: number, isAnswer = false): void {
    this.#nodeTable.load.observe(this.#slot, ms, now, isAnswer);
  }

  /** Discards all observations, as they are outdated. */
  forget(): void {
    this.#nodeTable.load.forget(this.#slot);
  }

  /** How busy it is, `inFlight` being the calls under way, relative to its weight. Greater is worse. */
  cost(now: number, inFlight = this.inFlight): number {
    return this.#nodeTable.load.cost(this.#slot, now, inFlight);
  }

  startSlowly(now: number): void {
    this.#warmAt = now + SLOW_START_MS;
    this.gateChanged();
  }

  /** The share of its calls that it may have: 1 unless it starts slowly. */
  warmth(now: number): number {
    const left = this.#warmAt - now;
    if (left > 0) return Math.max(SLOW_START_MIN, 1 - left / SLOW_START_MS);
    if (this.#warmAt !== -Infinity) this.#warmedUp();
    return 1;
  }

  /** As long as only the adaptive limit applies, a pick needs to read nothing else. */
  gateChanged(): void {
    const isSilent = isSilence(this.#nodeTable.unanswered(this.#slot));
    const isPlain = this.breaker.gate === OPEN && !isSilent && this.#warmAt === -Infinity;
    const { state, admin } = this.instance;
    const isCalm = state === 'HEALTHY' && admin === 'ENABLED' && this.breaker.isCalm;
    this.#nodeTable.judge(this.#slot, isPlain ? this.limit.gate : 0, isCalm);
  }

  /** It is not picked any more: its calls end normally, and another node gets its slot. */
  retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    const calls = this.inFlight;
    this.#nodeTable.give(this.#slot);
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
