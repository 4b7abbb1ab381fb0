import type { Time, Timer } from '@rollcall/core';

/**
 * A delay of this many ms means that this process stalled: data that arrived meanwhile is read before a peer is called
 * silent.
 */
const STALL_MS = 25;

/** An object with one deadline. `Alarms` owns the fields. */
export abstract class Alarm {
  dueAt = Infinity;
  queue: AlarmQueue | null = null;
  before: Alarm | null = null;
  after: Alarm | null = null;

  /** Called once per `set`, after the alarm is no longer set. */
  abstract ring(): void;
}

/**
 * Many alarms of a few durations. Alarms of one duration are due in the order in which they were set, so each duration
 * has one list and one timer: setting and clearing are O(1). An alarm never rings early. After a stall of this process
 * it waits for one more turn of the event loop.
 */
export class Alarms {
  readonly #time: Time;
  readonly #queues = new Map<number, AlarmQueue>();

  constructor(time: Time) {
    this.#time = time;
  }

  /** Sets or resets an alarm to ring in `ms`. Each distinct duration has its own timer, so use few. */
  set(alarm: Alarm, ms: number): void {
    alarm.queue?.remove(alarm);
    let queue = this.#queues.get(ms);
    if (queue === undefined) {
      queue = new AlarmQueue(this.#time, ms);
      this.#queues.set(ms, queue);
    }
    queue.add(alarm);
  }

  /** Clears an alarm; a no-op if it is not set. */
  clear(alarm: Alarm): void {
    alarm.queue?.remove(alarm);
  }
}

/** Alarms of one duration. The timer runs only while there are any. */
class AlarmQueue {
  readonly #time: Time;
  readonly #ms: number;
  #first: Alarm | null = null;
  #last: Alarm | null = null;
  #timer: Timer | null = null;

  constructor(time: Time, ms: number) {
    this.#time = time;
    this.#ms = ms;
  }

  add(alarm: Alarm): void {
    alarm.dueAt = this.#time.now() + this.#ms;
    alarm.queue = this;
    alarm.before = this.#last;
    const isFirst = this.#last === null;
    if (this.#last === null) this.#first = alarm;
    else this.#last.after = alarm;
    this.#last = alarm;
    if (isFirst) this.#arm(this.#ms);
  }

  remove(alarm: Alarm): void {
    if (alarm.before === null) this.#first = alarm.after;
    else alarm.before.after = alarm.after;
    if (alarm.after === null) this.#last = alarm.before;
    else alarm.after.before = alarm.before;
    alarm.queue = null;
    alarm.before = null;
    alarm.after = null;
    if (this.#first !== null) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(ms: number, isPatient = false): void {
    this.#timer = this.#time.setTimer(ms, () => this.#run(isPatient), { background: true });
  }

  #run(isPatient: boolean): void {
    this.#timer = null;
    const now = this.#time.now();
    const lateMs = now - (this.#first?.dueAt ?? now);
    if (lateMs > STALL_MS && !isPatient) {
      this.#arm(0, true);
      return;
    }
    for (let alarm = this.#first; alarm !== null && alarm.dueAt <= now; alarm = this.#first) {
      this.remove(alarm);
      alarm.ring();
    }
    if (this.#first !== null && this.#timer === null) this.#arm(this.#first.dueAt - now);
  }
}
