import type { Log, Problem, Time } from '@rollcall/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sourceOf } from '../../instances/quotas.js';
import type { RegistryMetrics } from '../../metrics/registry-metrics.js';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import { refuse } from '../exchange/plain-response.js';
import { peerOf } from '../exchange/request.js';
import { SECURITY_HEADERS } from '../exchange/security-headers.js';

/**
 * Requests started per turn of the event loop (about 1 ms), so that heartbeats are not starved. Node accepts one new
 * connection per turn (libuv since 1.45), and most heartbeats use new connections: the longer the turns, the longer
 * they wait.
 */
const MAX_PER_TURN = 4;
/** Delay before the next check while nothing may begin, ms. */
const BUSY_MS = 1;
/** While new connections arrive, one request begins in this many turns. */
const TURNS_PER_REQUEST = 4;
/** Maximum of waiting requests per source: enough for all its instances and long polls. */
const MAX_WAITING = 25_000;
/**
 * After work, or a turn of the event loop (most likely spent writing answers), that took longer than this, ms, the
 * queue rests for the same time, at most a second: half of the time is left for heartbeats.
 */
const SHORT_MS = 5;
const MAX_REST_MS = 1_000;

const FULL: Problem = {
  code: 'TOO_MANY',
  detail: `More than ${MAX_WAITING} requests from this address wait to be answered.`,
  fix: 'Send fewer at a time; try again after Retry-After.',
  retryAfterMs: 1_000,
};

interface QueuePorts {
  readonly log: Log;
  /** The clock, which also measures how long work takes. */
  readonly time: Time;
  /** Counts refused requests. Default: none. */
  readonly metrics?: Pick<RegistryMetrics, 'refused'>;
  /** True while no long answer should begin. Default: never. */
  readonly isBusy?: () => boolean;
}

interface Waiting {
  readonly begin: () => void;
  /** True once its sender has disconnected. */
  readonly isGone: () => boolean;
  /** True if its answer may be long. */
  readonly isLong: boolean;
}

/**
 * The queue of all requests except heartbeats: a flood of requests of any kind takes a few milliseconds of each turn of
 * the event loop, and at most half of the time as long as no piece of work takes more than a second. Sources take
 * turns, so a request waits behind at most one request of each other source.
 */
export class Queue {
  readonly #log: ThrottledLog;
  readonly #metrics: QueuePorts['metrics'];
  readonly #time: Time;
  readonly #isBusy: () => boolean;
  /** Waiting requests by source, in the order of their turns. */
  readonly #waiting = new Map<string, Waiting[]>();
  #begun = 0;
  #isArmed = false;
  #hasCome = false;
  #skippedTurns = 0;
  /** Start of the work of this turn; null: none has begun. */
  #workedFrom: number | null = null;
  #restsUntil = -Infinity;

  constructor(ports: QueuePorts) {
    this.#log = new ThrottledLog(ports);
    this.#metrics = ports.metrics;
    this.#time = ports.time;
    this.#isBusy = ports.isBusy ?? (() => false);
  }

  /**
   * Calls `begin` now or in its turn; or never, if its sender disconnects or too many requests of its source wait, in
   * which case it is refused.
   */
  join(request: IncomingMessage, response: ServerResponse, begin: () => void): void {
    this.#arm();
    const isLong = mayBeLong(request);
    if (this.#begun < MAX_PER_TURN && this.#waiting.size === 0 && this.#mayBegin(isLong)) {
      this.#work(begin);
      return;
    }
    const source = sourceOf(peerOf(request).address);
    if ((this.#waiting.get(source)?.length ?? 0) >= MAX_WAITING) {
      this.#log.warn(`More than ${MAX_WAITING} requests from ${source} wait to be answered: more are refused.`);
      this.#metrics?.refused(FULL.code);
      refuse(response, FULL, { ...SECURITY_HEADERS, connection: 'close' });
      return;
    }
    this.#wait(source, { begin, isGone: () => request.destroyed, isLong });
  }

  /** Resolves in its turn: for requests that were accepted long ago and are answered now. */
  turn(request: Pick<IncomingMessage, 'socket'>): Promise<void> {
    this.#arm();
    return new Promise((begin) => {
      this.#wait(sourceOf(peerOf(request).address), { begin, isGone: () => false, isLong: true });
    });
  }

  /** A new connection was accepted: others may wait behind it, most likely with a heartbeat. */
  connectionCame(): void {
    this.#hasCome = true;
  }

  #wait(source: string, entry: Waiting): void {
    const queue = this.#waiting.get(source);
    if (queue === undefined) this.#waiting.set(source, [entry]);
    else queue.push(entry);
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    const from = this.#time.now();
    const restMs = this.#restsUntil - from;
    if (restMs > 0) {
      this.#time.setTimer(restMs, () => this.#turn());
      return;
    }
    setImmediate(() => {
      this.#restAfter(from);
      this.#turn();
    });
  }

  #turn(): void {
    this.#isArmed = false;
    this.#begun = 0;
    const max = this.#maxNow();
    const isBusy = this.#isBusy();
    let isHeld = false;
    for (const [source, queue] of this.#waiting) {
      if (this.#begun >= max || this.#time.now() < this.#restsUntil) break;
      if (isBusy && queue[0]?.isLong === true) {
        isHeld = true;
        continue;
      }
      const next = queue.shift();
      this.#waiting.delete(source);
      // behind the others; iterating a Map includes entries that are added meanwhile
      if (queue.length > 0) this.#waiting.set(source, queue);
      if (next !== undefined && !next.isGone()) this.#work(next.begin);
    }
    if (isHeld && this.#begun === 0) this.#restUntil(this.#time.now() + BUSY_MS);
    if (this.#waiting.size > 0) this.#arm();
  }

  #mayBegin(isLong: boolean): boolean {
    return this.#time.now() >= this.#restsUntil && !(isLong && this.#isBusy());
  }

  /** Runs `begin`. Its synchronous continuations count as part of the work. */
  #work(begin: () => void): void {
    this.#begun += 1;
    if (this.#workedFrom === null) {
      this.#workedFrom = this.#time.now();
      queueMicrotask(() => process.nextTick(() => this.#worked()));
    }
    begin();
  }

  #worked(): void {
    if (this.#workedFrom !== null) this.#restAfter(this.#workedFrom);
    this.#workedFrom = null;
  }

  #restAfter(from: number): void {
    const now = this.#time.now();
    const tookMs = now - from;
    if (tookMs > SHORT_MS) this.#restUntil(now + Math.min(tookMs, MAX_REST_MS));
  }

  /** A shorter rest does not end a longer one. */
  #restUntil(at: number): void {
    this.#restsUntil = Math.max(this.#restsUntil, at);
  }

  #maxNow(): number {
    if (!this.#hasCome) return MAX_PER_TURN;
    this.#hasCome = false;
    this.#skippedTurns = (this.#skippedTurns + 1) % TURNS_PER_REQUEST;
    return this.#skippedTurns === 0 ? 1 : 0;
  }
}

/** Health checks are short, and streams limit themselves. */
const mayBeLong = ({ method, url = '' }: IncomingMessage): boolean =>
  method === 'GET' && !url.startsWith('/health/') && !url.startsWith('/api/v1/watch?');
