import type { Selector } from '../../balance/nodes/selector.js';
import { WheelTimer } from '../policy/timer-wheel.js';
import type { TimerWheel } from '../policy/timer-wheel.js';

/** A call that currently no instance accepts. */
export interface PendingCall {
  readonly startedAt: number;
  readonly selector: Selector;
  /** Sends the call if an instance accepts it now; false if none does. */
  sendPending(now: number): boolean;
  /** True if less time is left than its method usually takes. */
  isTooLate(now: number): boolean;
}

/** Room may appear merely with time (a probe is due, an ejection ends), so the queue checks again this often, ms. */
const RECHECK_MS = 50;
/** The number of entries behind the first one without room that one pass checks: they may have other selectors. */
const LOOK_AHEAD = 16;

/**
 * Calls of one service over one protocol that wait for an instance, the oldest first. `serve` sends them as soon as an instance accepts
 * them; no newer call overtakes them. The deadline of each call limits its wait, and `maxConcurrent` limits their number.
 *
 * * * In a long overload every call at the head of such a queue is about to expire, and sending it wastes the room that it gets. Therefore
 * calls with less time left than their method takes are sent only when no other call waits.
 */
export class PendingQueue extends WheelTimer {
  readonly #wheel: TimerWheel;
  readonly #inTime = new List();
  readonly #tooLate = new List();
  #isServing = false;

  constructor(wheel: TimerWheel) {
    super();
    this.#wheel = wheel;
  }

  get size(): number {
    return this.#inTime.size + this.#tooLate.size;
  }

  /** When the oldest queued call began, ms of Time; null if the queue is empty. */
  get oldestAt(): number | null {
    return (this.#tooLate.head ?? this.#inTime.head)?.call.startedAt ?? null;
  }

  /** Enqueues a call behind all calls that began before it. */
  add(call: PendingCall, now: number): PendingEntry {
    const entry = new PendingEntry(call, now);
    this.#inTime.insert(entry);
    if (this.slot < 0) this.#wheel.arm(this, now + RECHECK_MS, now);
    return entry;
  }

  /** Removes an entry; a no-op if it is no longer queued. */
  remove(entry: PendingEntry): void {
    entry.list?.remove(entry);
    if (this.size === 0) this.#wheel.disarm(this);
  }

  /** Sends as many calls as instances accept. Sending may run application code, which may add and remove calls. */
  serve(now: number): void {
    if (this.#isServing || this.size === 0) return;
    this.#isServing = true;
    try {
      if (this.#sendBeforeDeadline(now)) this.#sendTooLate(now);
    } finally {
      this.#isServing = false;
    }
    if (this.size === 0) this.#wheel.disarm(this);
  }

  override ring(now: number): void {
    this.serve(now);
    if (this.size > 0) this.#wheel.arm(this, now + RECHECK_MS, now);
  }

  override stop(): void {}

  /** Sends the calls that can still meet their deadline; true if none of them is left. */
  #sendBeforeDeadline(now: number): boolean {
    const list = this.#inTime;
    let rejected: Selector | null = null;
    let left = LOOK_AHEAD;
    for (let entry = list.head; entry !== null && left > 0;) {
      const { after, call } = entry;
      if (call.isTooLate(now)) {
        list.remove(entry);
        this.#tooLate.append(entry);
      } else if (call.selector !== rejected && call.sendPending(now)) list.remove(entry);
      else rejected ??= call.selector;
      if (rejected !== null) left -= 1;
      // application code may have removed the next entry
      entry = after === null || after.list === list ? after : list.head;
    }
    return list.size === 0;
  }

  #sendTooLate(now: number): void {
    for (let entry = this.#tooLate.head; entry !== null; entry = this.#tooLate.head) {
      if (!entry.call.sendPending(now)) return;
      entry.list?.remove(entry);
    }
  }
}

/** A queued call. The queue owns its fields. */
export class PendingEntry {
  readonly call: PendingCall;
  /** The time when its wait began, ms of Time. */
  readonly sinceMs: number;
  /** The list that contains the entry; null once it was removed. */
  list: List | null = null;
  before: PendingEntry | null = null;
  after: PendingEntry | null = null;

  constructor(call: PendingCall, sinceMs: number) {
    this.call = call;
    this.sinceMs = sinceMs;
  }
}

/** A linked list of entries, ordered by when their calls began. */
class List {
  head: PendingEntry | null = null;
  size = 0;
  #tail: PendingEntry | null = null;

  insert(entry: PendingEntry): void {
    let before = this.#tail;
    while (before !== null && before.call.startedAt > entry.call.startedAt) before = before.before;
    this.#link(entry, before);
  }

  append(entry: PendingEntry): void {
    this.#link(entry, this.#tail);
  }

  remove(entry: PendingEntry): void {
    if (entry.list !== this) return;
    entry.list = null;
    this.size -= 1;
    if (entry.before === null) this.head = entry.after;
    else entry.before.after = entry.after;
    if (entry.after === null) this.#tail = entry.before;
    else entry.after.before = entry.before;
  }

  #link(entry: PendingEntry, before: PendingEntry | null): void {
    entry.list = this;
    entry.before = before;
    entry.after = before === null ? this.head : before.after;
    if (before === null) this.head = entry;
    else before.after = entry;
    if (entry.after === null) this.#tail = entry;
    else entry.after.before = entry;
    this.size += 1;
  }
}
