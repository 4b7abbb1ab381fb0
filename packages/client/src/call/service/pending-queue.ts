import type { Selector } from '../../balance/nodes/selector.js';
import { WheelTimer } from '../policy/timer-wheel.js';
import type { TimerWheel } from '../policy/timer-wheel.js';

/** A call that no instance accepts at the moment. */
export interface PendingCall {
  readonly startedAt: number;
  readonly selector: Selector;
  /** Sends the call if an instance accepts it now; false if none does. */
  sendPending(now: number): boolean;
  /** True if less time is left than its method usually takes. */
  isTooLate(now: number): boolean;
}

/** Room may appear because time passes (a probe is due, an ejection ends), so the queue looks again this often, ms. */
const RECHECK_MS = 50;
/** Entries behind the first one for which there is no room that one pass looks at: they may want other instances. */
const LOOK_AHEAD = 16;

/**
 * Calls of one service over one protocol that wait for an instance, the oldest first. `serve` sends them as soon as one
 * accepts them; no newer call overtakes them. The deadline of each call bounds how long it waits, `maxConcurrent` how
 * many there are.
 *
 * In a long overload every call at the head of such a queue is about to expire, and sending it wastes the room that it gets. Calls whose
 * time left is shorter than their method takes therefore let the others pass, and are sent when no other call waits.
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

  /** Removes an entry; a no-op if it has left. */
  remove(entry: PendingEntry): void {
    entry.list?.remove(entry);
    if (this.size === 0) this.#wheel.disarm(this);
  }

  /** Sends as many calls as instances accept. Sending may run code of callers, which may add and remove calls. */
  serve(now: number): void {
    if (this.#isServing || this.size === 0) return;
    this.#isServing = true;
    try {
      if (this.#serveInTime(now)) this.#serveTooLate(now);
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

  /** Sends the calls that can still be in time; true if none of them is left. */
  #serveInTime(now: number): boolean {
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
      // code of a caller may have removed the next one
      entry = after === null || after.list === list ? after : list.head;
    }
    return list.size === 0;
  }

  #serveTooLate(now: number): void {
    for (let entry = this.#tooLate.head; entry !== null; entry = this.#tooLate.head) {
      if (!entry.call.sendPending(now)) return;
      entry.list?.remove(entry);
    }
  }
}

/** A queued call. The queue owns its fields. */
export class PendingEntry {
  readonly call: PendingCall;
  /** When its wait began, ms of Time. */
  readonly sinceMs: number;
  /** The list that holds it; null once it has left. */
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
