import { TRAITS } from '../../transport/transport.js';
import type { Channel, Exchange, Failure, Sink } from '../../transport/transport.js';
import { WheelTimer } from '../policy/timer-wheel.js';
import type { TimerWheel } from '../policy/timer-wheel.js';

export interface PingTerms {
  readonly channel: Channel<unknown>;
  readonly wheel: TimerWheel;
  readonly timeoutMs: number;
  readonly now: number;
}

/** Pings an instance. `done` is called once, with null if it answered in time, unless the wheel is closed first. */
export function ping(terms: PingTerms, done: (failure: Failure | null) => void): void {
  new Ping(terms, done).start();
}

class Ping extends WheelTimer implements Sink {
  readonly #terms: PingTerms;
  readonly #done: (failure: Failure | null) => void;
  #exchange: Exchange | null = null;

  constructor(terms: PingTerms, done: (failure: Failure | null) => void) {
    super();
    this.#terms = terms;
    this.#done = done;
  }

  start(): void {
    const { channel, wheel, timeoutMs, now } = this.#terms;
    wheel.arm(this, now + timeoutMs, now);
    this.#exchange = channel.ping({ remainingMs: timeoutMs, attempt: 1 }, this);
  }

  next(): void {}

  last(): void {
    this.complete();
  }

  complete(): void {
    this.#terms.wheel.disarm(this);
    this.#done(null);
  }

  fail(failure: Failure): void {
    this.#terms.wheel.disarm(this);
    // a refusal also counts as a response
    this.#done(TRAITS[failure.kind].verdict === 'fine' ? null : failure);
  }

  override ring(): void {
    this.stop();
    this.#done({ kind: 'timeout', cause: null });
  }

  override stop(): void {
    this.#exchange?.cancel();
  }
}
