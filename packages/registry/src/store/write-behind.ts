import { messageOf } from '@rollcall/core';
import type { Log, StoreTrouble, Time, Timer } from '@rollcall/core';
import type { Store, StoreFault, Write } from './store.js';

/** The store, and the log of its failures. */
export interface WriteBehindPorts {
  readonly store: Pick<Store, 'write' | 'fault'>;
  readonly time: Time;
  readonly log: Log;
}

/** Time between two retries while changes are unstored, ms. */
const RETRY_MS = 1_000;

/** A failed write. */
interface Failure {
  readonly text: string;
  readonly at: number;
  /** True if the store itself reports the fault, and so its end. */
  readonly isKnown: boolean;
}

/** The latest writes about one subject, in order. */
type Writes = readonly Write[];

/** Writes on their way to the store, and the callers that wait for the result. */
interface PendingWrite {
  readonly writes: Writes;
  readonly waiting: ((isStored: boolean) => void)[];
}

/**
 * The write path of the engine to its store. A registration is acknowledged once it is stored. Changes that have
 * happened anyway (a state, a removal) are stored in the background, where `untold` waits for them, and those that the
 * store refuses are retried: the latest writes about each instance are kept until they are accepted, so that a disk
 * that was full for a while loses no goodbye. Bounded by the number of instances and tombstones.
 */
export class WriteBehind {
  readonly #ports: WriteBehindPorts;
  /** Refused writes by subject; without subjects that have a newer write under way. */
  readonly #unstored = new Map<string, Writes>();
  /** The newest writes under way, by subject. */
  readonly #underWay = new Map<string, PendingWrite>();
  #timer: Timer | null = null;
  #isFailing = false;
  /** The failure of the last write; null after a success when no write is pending. */
  #failure: Failure | null = null;
  #isClosed = false;

  constructor(ports: WriteBehindPorts) {
    this.#ports = ports;
  }

  /** The current trouble; null if, as far as its last write and the store itself show, everything is stored. */
  get trouble(): StoreTrouble | null {
    const owed = this.#unstored.size;
    const fault = this.#fault;
    if (fault !== null) return { ...fault, owed };
    if (this.#failure === null || (this.#failure.isKnown && owed === 0)) return null;
    const { text, at } = this.#failure;
    return { text, sinceMs: Math.round(this.#ports.time.now() - at), owed };
  }

  get #fault(): StoreFault | null {
    return this.#ports.store.fault?.() ?? null;
  }

  /** Resolves once it is stored. Rejects as the store does: then the write has no effect. */
  async acknowledge(write: Write): Promise<void> {
    const subject = subjectOf(write);
    await this.#write(subject, [write], this.#latest(subject));
  }

  /** Stores it in the background. A no-op after `close`. */
  remember(write: Write): void {
    if (this.#isClosed) return;
    const subject = subjectOf(write);
    // only `forget` adds to earlier writes, all others replace them
    const writes = 'forget' in write ? [...(this.#latest(subject) ?? []), write] : [write];
    void this.#try(subject, writes);
  }

  /**
   * Waits until the store has accepted or refused all writes about a subject so far. Null: they are stored; else the
   * failure: they are retried.
   */
  async waitUntilStored(subject: string): Promise<string | null> {
    for (let pending = this.#underWay.get(subject); pending !== undefined; pending = this.#underWay.get(subject)) {
      const { waiting } = pending;
      if (await new Promise<boolean>((resolve) => waiting.push(resolve))) return null;
      // a newer write may be under way, which replaces all earlier ones
    }
    return this.#unstored.has(subject) ? (this.#failure?.text ?? 'The store has not accepted it.') : null;
  }

  /** Tries unstored changes once more. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    await Promise.all([...this.#unstored].map(([subject, writes]) => this.#try(subject, writes)));
    if (this.#unstored.size > 0)
      this.#ports.log.error(`${this.#unstored.size} changes are lost: the store did not accept them.`);
  }

  #latest(subject: string): Writes | undefined {
    return this.#underWay.get(subject)?.writes ?? this.#unstored.get(subject);
  }

  /** `orElse`: the writes to retry if this fails and nothing newer is under way. */
  async #write(subject: string, writes: Writes, orElse: Writes | undefined): Promise<void> {
    this.#unstored.delete(subject);
    const pending: PendingWrite = { writes, waiting: [] };
    this.#underWay.set(subject, pending);
    let isStored = false;
    try {
      await this.#ports.store.write(writes);
      isStored = true;
      if (this.#unstored.size === 0) this.#failure = null;
    } catch (error) {
      const at = this.#failure?.at ?? this.#ports.time.now();
      this.#failure = { text: messageOf(error), at, isKnown: this.#fault !== null };
      if (orElse !== undefined && this.#underWay.get(subject) === pending) this.#unstored.set(subject, orElse);
      throw error;
    } finally {
      if (this.#underWay.get(subject) === pending) this.#underWay.delete(subject);
      this.#retryLater();
      for (const resolve of pending.waiting) resolve(isStored);
    }
  }

  /** False if it is unstored, or replaced by something newer. */
  async #try(subject: string, writes: Writes): Promise<boolean> {
    try {
      await this.#write(subject, writes, writes);
      return true;
    } catch (error) {
      // otherwise a newer write about it is under way, and reports for itself
      if (this.#unstored.size > 0) this.#reportFailure(error);
      return false;
    }
  }

  #reportFailure(error: unknown): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#ports.log.error(
      `The store could not keep a change: ${messageOf(error)} It is retried every ${RETRY_MS / 1_000} s; ` +
        'changes that are not stored are lost if the registry ends before.',
    );
  }

  #retryLater(): void {
    if (this.#unstored.size === 0 || this.#timer !== null || this.#isClosed) return;
    const retry = (): void => {
      this.#timer = null;
      void this.#retry();
    };
    this.#timer = this.#ports.time.setTimer(RETRY_MS, retry, { background: true });
  }

  /** Retries one first: if the store refuses it, the others need not be tried. */
  async #retry(): Promise<void> {
    const [first] = this.#unstored;
    if (first !== undefined && !(await this.#try(...first))) return;
    const kept = await Promise.all([...this.#unstored].map(([subject, writes]) => this.#try(subject, writes)));
    if (kept.includes(false) || this.#unstored.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#isFailing) this.#ports.log.info('The store has accepted all pending changes.');
    this.#isFailing = false;
  }
}

/** The subject of a write: the id of an instance, or '' for self-preservation. */
function subjectOf(write: Write): string {
  if ('put' in write) return write.put.record.id;
  if ('bury' in write) return write.bury.id;
  return 'forget' in write ? write.forget : '';
}
