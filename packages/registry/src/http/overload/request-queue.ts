import type { Log, Problem, Time } from '@rollcall/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { sourceOf } from '../../instances/quotas.js';
import type { RegistryMetrics } from '../../metrics/registry-metrics.js';
import { ThrottledLog } from '../../runtime/throttled-log.js';
import { refuse } from '../exchange/plain-response.js';
import { peerOf } from '../exchange/request.js';
import { SECURITY_HEADERS } from '../exchange/security-headers.js';

/**
 * So many are begun in one turn of the event loop, a millisecond of work; then whoever beats is heard. Few, because Node takes in one new
 * connection a turn (libuv since 1.45), and most beats come over new ones: the longer the turns, the longer they wait.
 */
const MOST_AT_ONCE = 4;
/** When nothing may be begun, it asks again after so long. */
const BUSY_MS = 1;
/** While new connections come, only one is begun, in one of so many turns. */
const PATIENCE = 4;
/** Of one source so many may wait: all instances that it may have, and all its long polls. */
const MOST_WAITING = 25_000;
/**
 * After work that took longer than this, or a turn of the event loop that did (most likely with what answers are written), it rests as
 * long as that took, at most a second: half of the time is for those who beat.
 */
const SHORT_MS = 5;
const LONGEST_REST_MS = 1_000;

const FULL: Problem = {
  code: 'TOO_MANY',
  detail: `More than ${MOST_WAITING} requests from this address wait to be answered.`,
  fix: 'Send fewer at a time; try again after Retry-After.',
  retryAfterMs: 1_000,
};

interface QueuePorts {
  readonly log: Log;
  /** When, and how long work takes. */
  readonly time: Time;
  /** Who counts those that are refused; left out: nobody does. */
  readonly metrics?: Pick<RegistryMetrics, 'refused'>;
  /** Should nobody be told anything long now? Default: no. */
  readonly isBusy?: () => boolean;
}

interface Waiting {
  readonly begin: () => void;
  /** Has its sender gone? */
  readonly isGone: () => boolean;
  /** May its answer be long? */
  readonly isLong: boolean;
}

/**
 * Everything but beats waits here while there is much of it: a flood of requests, whatever they ask and however they are answered, takes a
 * few milliseconds of each turn of the event loop and not all of it, and half of the time where no piece of work takes more than a second.
 * Sources take turns, so nobody waits behind more than one request of each other source.
 */
export class Queue {
  readonly #seldom: ThrottledLog;
  readonly #metrics: QueuePorts['metrics'];
  readonly #time: Time;
  readonly #isBusy: () => boolean;
  /** Who waits, by source; the source whose turn it is first. */
  readonly #lines = new Map<string, Waiting[]>();
  #begun = 0;
  #isArmed = false;
  #hasCome = false;
  #patience = 0;
  /** When the work of this turn began; null: none has. */
  #workedFrom: number | null = null;
  #restsUntil = -Infinity;

  constructor(ports: QueuePorts) {
    this.#seldom = new ThrottledLog(ports);
    this.#metrics = ports.metrics;
    this.#time = ports.time;
    this.#isBusy = ports.isBusy ?? (() => false);
  }

  /** `begin` is called now, in its turn, or never: when its sender has gone, or is refused because too many of its source wait. */
  join(request: IncomingMessage, response: ServerResponse, begin: () => void): void {
    this.#arm();
    const isLong = mayBeLong(request);
    if (this.#begun < MOST_AT_ONCE && this.#lines.size === 0 && this.#mayBegin(isLong)) {
      this.#work(begin);
      return;
    }
    const source = sourceOf(peerOf(request).address);
    if ((this.#lines.get(source)?.length ?? 0) >= MOST_WAITING) {
      this.#seldom.warn(`More than ${MOST_WAITING} requests from ${source} wait to be answered: more are refused.`);
      this.#metrics?.refused(FULL.code);
      refuse(response, FULL, { ...SECURITY_HEADERS, connection: 'close' });
      return;
    }
    this.#wait(source, { begin, isGone: () => request.destroyed, isLong });
  }

  /** Resolves in its turn: for what has been taken in long ago and is to be answered now. */
  turn(request: Pick<IncomingMessage, 'socket'>): Promise<void> {
    this.#arm();
    return new Promise((begin) => {
      this.#wait(sourceOf(peerOf(request).address), { begin, isGone: () => false, isLong: true });
    });
  }

  /** A new connection was taken in: others may wait behind it, most likely with a beat. */
  connectionCame(): void {
    this.#hasCome = true;
  }

  #wait(source: string, who: Waiting): void {
    const line = this.#lines.get(source);
    if (line === undefined) this.#lines.set(source, [who]);
    else line.push(who);
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
    const most = this.#mostNow();
    const isBusy = this.#isBusy();
    let isHeld = false;
    for (const [source, line] of this.#lines) {
      if (this.#begun >= most || this.#time.now() < this.#restsUntil) break;
      if (isBusy && line[0]?.isLong === true) {
        isHeld = true;
        continue;
      }
      const next = line.shift();
      this.#lines.delete(source);
      // behind the others; a Map is read on to what is added meanwhile
      if (line.length > 0) this.#lines.set(source, line);
      if (next !== undefined && !next.isGone()) this.#work(next.begin);
    }
    if (isHeld && this.#begun === 0) this.#restUntil(this.#time.now() + BUSY_MS);
    if (this.#lines.size > 0) this.#arm();
  }

  #mayBegin(isLong: boolean): boolean {
    return this.#time.now() >= this.#restsUntil && !(isLong && this.#isBusy());
  }

  /** What follows on `begin` without waiting for anything is part of the work. */
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
    if (tookMs > SHORT_MS) this.#restUntil(now + Math.min(tookMs, LONGEST_REST_MS));
  }

  /** A short one ends no longer one. */
  #restUntil(at: number): void {
    this.#restsUntil = Math.max(this.#restsUntil, at);
  }

  #mostNow(): number {
    if (!this.#hasCome) return MOST_AT_ONCE;
    this.#hasCome = false;
    this.#patience = (this.#patience + 1) % PATIENCE;
    return this.#patience === 0 ? 1 : 0;
  }
}

/** Probes are short, and streams take care of themselves. */
const mayBeLong = ({ method, url = '' }: IncomingMessage): boolean =>
  method === 'GET' && !url.startsWith('/health/') && !url.startsWith('/api/v1/watch?');
