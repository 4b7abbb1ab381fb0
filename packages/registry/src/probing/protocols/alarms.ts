import type { Time, Timer } from '@rollcall/core';

/** An alarm this late means that this process stood still: what came in meanwhile is read before anything is called silent. */
const STALL_MS = 25;

/** Something that has a time to be woken at. `Alarms` owns the fields. */
export abstract class Alarm {
  dueAt = Infinity;
  queue: AlarmQueue | null = null;
  before: Alarm | null = null;
  after: Alarm | null = null;

  /** Called once per setting, when it is no longer set. */
  abstract ring(): void;
}

/**
 * Many alarms of a few durations: those of one duration are due in the order in which they were set, so each duration has a list and
 * one timer. Setting and clearing cost nothing to speak of; none rings early. After a stall of this process they wait for one more
 * turn of the event loop.
 */
export class Alarms {
  readonly #time: Time;
  readonly #queues = new Map<number, AlarmQueue>();

  constructor(time: Time) {
    this.#time = time;
  }

  /** Sets, or sets anew: it rings in `ms`. Few different values, please: each has a timer of its own. */
  set(alarm: Alarm, ms: number): void {
    alarm.queue?.remove(alarm);
    let queue = this.#queues.get(ms);
    if (queue === undefined) {
      queue = new AlarmQueue(this.#time, ms);
      this.#queues.set(ms, queue);
    }
    queue.add(alarm);
  }

  /** Does nothing to one that is not set. */
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
