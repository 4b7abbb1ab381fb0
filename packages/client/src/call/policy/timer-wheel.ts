import { AsyncResource } from 'node:async_hooks';
import type { Time, Timer } from '@rollcall/core';

/** Default resolution of a wheel, ms: a timer fires up to this much after it is due, never before. */
export const TICK_MS = 10;
const SLOTS = 512;
const MASK = SLOTS - 1;
/** Index of the list of due timers while they fire. */
const DUE = SLOTS;
/** A tick that is late by this much means that this process stalled, ms; the time does not count against its peers. */
const STALL_MS = 25;
/** The number of recent stalls that are recorded. */
const MAX_STALLS = 8;
/** A connection that died during a stall of this process is noticed within this time, ms. */
export const STALL_NOTICE_MS = 2_000;

/** A timer on the wheel, embedded in its owner so that arming allocates no memory. The wheel owns the fields. */
export abstract class WheelTimer {
  dueAt = Infinity;
  slot = -1;
  after: WheelTimer | null = null;
  before: WheelTimer | null = null;

  /** Called once for each arming; the timer is disarmed before the call. */
  abstract ring(now: number): void;
  /** Called when the wheel is closed: the timer will never fire. */
  abstract stop(): void;
}

/**
 * Many coarse timers on one Node timer: a hashed wheel (Varghese and Lauck, 1987), 20 ns to arm and to disarm. The Node timer runs only
 * while a timer is armed, plus one tick, and keeps the process alive meanwhile, because a caller waits for it.
 *
 * * After a stall of this process the timers wait for one more turn of the event loop: the responses that arrived during the stall are read
 * first, so that a garbage collection does not look like a failure of every peer.
 */
export class TimerWheel {
  readonly #time: Time;
  readonly #tickMs: number;
  readonly #heads: (WheelTimer | null)[] = Array.from({ length: SLOTS + 1 }, () => null);
  /** The last tick that has run. */
  #tick = 0;
  #armed = 0;
  #timer: Timer | null = null;
  #isWaitingTurn = false;
  #stalledAt = -Infinity;
  /** The last stalls: the end of each, and its duration. */
  readonly #stallEnds: number[] = Array.from({ length: MAX_STALLS }, () => -Infinity);
  readonly #stallsMs: number[] = Array.from({ length: MAX_STALLS }, () => 0);
  #stalls = 0;
  /** Bound to the async context of the constructor, so that it keeps no caller's AsyncLocalStorage alive. */
  readonly #turn: () => void;

  constructor(time: Time, tickMs = TICK_MS) {
    this.#time = time;
    this.#tickMs = tickMs;
    this.#turn = AsyncResource.bind(() => this.#run());
  }

  /** Number of armed timers. */
  get armed(): number {
    return this.#armed;
  }

  /**
   * True if this process stalled for about 40 ms (at the usual tick) between `since` and `now`: a round trip of that time then measures
   * this process, not its peer. The result is correct before the late tick has run, since responses that arrived during the stall may be
   * read first.
   */
  hasStalled(since: number, now: number): boolean {
    return since < this.#stalledAt || (this.#timer !== null && this.#isLate(now));
  }

  /** Total time that this process stalled between `since` and `now`, ms, over its last 8 stalls. */
  stalledMs(since: number, now: number): number {
    let sum = this.#timer !== null && this.#isLate(now) ? now - (this.#tick + 1) * this.#tickMs : 0;
    for (let place = 0; place < MAX_STALLS; place += 1) {
      if (since < (this.#stallEnds[place] ?? -Infinity)) sum += this.#stallsMs[place] ?? 0;
    }
    return sum;
  }

  /** Arms or re-arms a timer. A time in the past fires at the next tick. */
  arm(timer: WheelTimer, dueAt: number, now: number): void {
    if (timer.slot >= 0) this.#unlink(timer);
    if (this.#timer === null) this.#wake(now);
    timer.dueAt = dueAt;
    this.#link(timer, Math.max(Math.ceil(dueAt / this.#tickMs), this.#tick + 1) & MASK);
  }

  /** Disarms a timer; a no-op if it is not armed. */
  disarm(timer: WheelTimer): void {
    if (timer.slot >= 0) this.#unlink(timer);
  }

  /** Stops all timers. May be called twice. */
  close(): void {
    for (let slot = 0; slot <= SLOTS; slot += 1) {
      for (let timer = this.#heads[slot] ?? null; timer !== null; timer = this.#heads[slot] ?? null) {
        this.#unlink(timer);
        timer.stop();
      }
    }
    this.#timer?.cancel();
    this.#timer = null;
  }

  #isLate(now: number): boolean {
    return now - (this.#tick + 1) * this.#tickMs > STALL_MS + this.#tickMs;
  }

  #wake(now: number): void {
    this.#tick = Math.floor(now / this.#tickMs);
    this.#timer = this.#time.setTimer(this.#tickMs, this.#turn);
  }

  #run(): void {
    const now = this.#time.now();
    if (this.#isLate(now) && !this.#isWaitingTurn) {
      this.#isWaitingTurn = true;
      this.#remember(now);
      this.#timer = this.#time.setTimer(0, this.#turn);
      return;
    }
    this.#isWaitingTurn = false;
    const tick = Math.floor(now / this.#tickMs);
    const from = Math.max(this.#tick + 1, tick - MASK);
    this.#tick = tick;
    for (let passed = from; passed <= tick; passed += 1) this.#gather(passed & MASK, now);
    this.#ringAll(now);
    this.#timer = this.#armed > 0 ? this.#time.setTimer(this.#tickMs, this.#turn) : null;
  }

  #remember(now: number): void {
    this.#stalledAt = now;
    this.#stallEnds[this.#stalls % MAX_STALLS] = now;
    this.#stallsMs[this.#stalls % MAX_STALLS] = now - (this.#tick + 1) * this.#tickMs;
    this.#stalls += 1;
  }

  /** Collects the due timers of a slot; the others belong to a later round. */
  #gather(slot: number, now: number): void {
    for (let timer = this.#heads[slot] ?? null; timer !== null;) {
      const following: WheelTimer | null = timer.after;
      if (timer.dueAt <= now) {
        this.#unlink(timer);
        this.#link(timer, DUE);
      }
      timer = following;
    }
  }

  /** Fires the due timers. A timer may disarm another one or arm itself again during this. */
  #ringAll(now: number): void {
    for (let timer = this.#heads[DUE] ?? null; timer !== null; timer = this.#heads[DUE] ?? null) {
      this.#unlink(timer);
      timer.ring(now);
    }
  }

  #link(timer: WheelTimer, slot: number): void {
    const head = this.#heads[slot] ?? null;
    timer.slot = slot;
    timer.before = null;
    timer.after = head;
    if (head !== null) head.before = timer;
    this.#heads[slot] = timer;
    this.#armed += 1;
  }

  #unlink(timer: WheelTimer): void {
    if (timer.before === null) this.#heads[timer.slot] = timer.after;
    else timer.before.after = timer.after;
    if (timer.after !== null) timer.after.before = timer.before;
    timer.slot = -1;
    timer.after = null;
    timer.before = null;
    this.#armed -= 1;
  }
}
