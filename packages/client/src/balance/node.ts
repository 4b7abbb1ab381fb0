import type { Endpoint, Instance, InstanceId } from '@rollcall/core';
import type { Breaker } from '../gate/breaker.js';
import { OPEN } from '../gate/gate.js';
import type { Gate } from '../gate/gate.js';
import { EarlyLimit } from '../gate/limit.js';
import { LatencyProfile } from '../latency.js';

/** How busy an instance is: the axis beside `Picker`. One for each node. */
export interface Load {
  /** Greater is worse; only compared with others of the same kind. `inFlight` are the calls under way there, relative to the weight. Changes nothing. */
  cost(now: number, inFlight: number): number;
  /** One call took so long; a failure counts as a long one. */
  observe(ms: number, now: number): void;
  /** What is known is no longer true: as at first. */
  forget(): void;
}

/** What the nodes of one balancer share. */
export interface Pulse {
  /** When any of them last answered. */
  lastAnswerAt: number;
}

export interface NodeParts {
  readonly instance: Instance;
  readonly endpoint: Endpoint;
  readonly load: Load;
  readonly breaker: Breaker;
  readonly pulse: Pulse;
}

/** A new instance gets this share of its calls at first, … */
const SLOW_START_MIN = 0.1;
/** … and all of them after this time; in a line between. Envoy's formula with aggression 1. */
const SLOW_START_MS = 10_000;

/** What a caller knows of one endpoint of one instance. It survives every update of the catalog, as an id is one process. */
export class Node {
  readonly id: InstanceId;
  readonly endpoint: Endpoint;
  readonly load: Load;
  readonly breaker: Breaker;
  readonly latency = new LatencyProfile();
  /** The newest record. */
  instance: Instance;
  /** Calls under way; streams until their first value. */
  inFlight = 0;
  lastSuccessAt = -Infinity;
  /** When it was last seen HEALTHY, while it is REGISTERING again; else -Infinity. */
  healthyUntil = -Infinity;
  /** While it waits for a live probe that cannot be repeated: it was asked who it is, and answered. */
  isPinged = false;
  readonly #limit = new EarlyLimit();
  readonly #pulse: Pulse;
  #warmAt = -Infinity;

  constructor(parts: NodeParts) {
    this.id = parts.instance.id;
    this.instance = parts.instance;
    this.endpoint = parts.endpoint;
    this.load = parts.load;
    this.breaker = parts.breaker;
    this.#pulse = parts.pulse;
  }

  gate(now: number): Gate {
    const gate = this.breaker.gate;
    if (!this.#limit.isWaiting) return gate;
    return Math.min(gate, this.#limit.gate(now, this.latency.p99Ms(now), this.#pulse.lastAnswerAt));
  }

  /** May it take one more call? */
  admits(now: number): boolean {
    const gate = this.gate(now);
    return gate === OPEN || this.inFlight < gate;
  }

  /** A call goes there. `expectsAnswer`: false for events, whose silence means nothing. */
  begin(now: number, expectsAnswer: boolean): void {
    this.inFlight += 1;
    if (expectsAnswer) this.#limit.begin(now);
  }

  /** It is over, whatever came of it. */
  end(): void {
    this.inFlight -= 1;
  }

  /** It said something, if only no. */
  answered(now: number): void {
    this.#limit.answered();
    this.#pulse.lastAnswerAt = now;
  }

  startSlowly(now: number): void {
    this.#warmAt = now + SLOW_START_MS;
  }

  /** The share of its calls that it may have: 1 unless it starts slowly. */
  warmth(now: number): number {
    const left = this.#warmAt - now;
    return left <= 0 ? 1 : Math.max(SLOW_START_MIN, 1 - left / SLOW_START_MS);
  }
}
