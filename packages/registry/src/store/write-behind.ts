import { messageOf } from '@rollcall/core';
import type { Log, Time, Timer } from '@rollcall/core';
import type { Store, StoreFault, Write } from './store.js';

/** Where it is kept, and who is told when that fails. */
export interface WriteBehindPorts {
  readonly store: Pick<Store, 'write' | 'fault'>;
  readonly time: Time;
  readonly log: Log;
}

/** A store that owes something is tried again this often. */
const RETRY_MS = 1_000;

/** What a store does not keep, for people. */
export interface StoreTrouble {
  /** Why, verbatim. */
  readonly text: string;
  /** Since the first write that failed, in ms. */
  readonly sinceMs: number;
  /** Instances whose last words are told again until it takes them. */
  readonly owed: number;
}

/** A write that failed. */
interface Failure {
  readonly text: string;
  readonly at: number;
  /** Does the store know why, and so when it is over? */
  readonly isKnown: boolean;
}

/** The last words about one subject, in their order. */
type Writes = readonly Write[];

/** Writes on their way to the store, and who waits for what becomes of them. */
interface PendingWrite {
  readonly writes: Writes;
  readonly waiting: ((isStored: boolean) => void)[];
}

/**
 * The engine's way to its store. A registration is acknowledged once it is stored; what has happened anyway (a state, a removal) is
 * remembered in the background, where `untold` waits for it, and what the store refuses of that it owes: the last words about each instance are kept and told
 * again until they are taken. So a disk that was full for a while has not forgotten a goodbye. Bounded by the instances and
 * tombstones there are.
 */
export class WriteBehind {
  readonly #ports: WriteBehindPorts;
  /** By subject; never one about which something newer is under way. */
  readonly #unstored = new Map<string, Writes>();
  /** The newest words under way. */
  readonly #underWay = new Map<string, PendingWrite>();
  #timer: Timer | null = null;
  #isFailing = false;
  /** Why the last write failed; null once one has succeeded and nothing is owed. */
  #failure: Failure | null = null;
  #isClosed = false;

  constructor(ports: WriteBehindPorts) {
    this.#ports = ports;
  }

  /** Null: it keeps all it is told, as far as its last write showed, and the store knows. */
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

  /** Resolves when it is stored. Rejects as the store does: then it is as if nobody had asked. */
  async acknowledge(write: Write): Promise<void> {
    const subject = subjectOf(write);
    await this.#write(subject, [write], this.#latest(subject));
  }

  /** Stores it in the background. Does nothing once the ledger is closed. */
  remember(write: Write): void {
    if (this.#isClosed) return;
    const subject = subjectOf(write);
    // only this one adds to what was said before, all others replace it
    const writes = 'forget' in write ? [...(this.#latest(subject) ?? []), write] : [write];
    void this.#try(subject, writes);
  }

  /**
   * Waits until the store has taken, or refused, what was said of a subject so far. Null: it is stored; else why it is not: it is owed then,
   * and told again.
   */
  async untold(subject: string): Promise<string | null> {
    for (let pending = this.#underWay.get(subject); pending !== undefined; pending = this.#underWay.get(subject)) {
      const { waiting } = pending;
      if (await new Promise<boolean>((resolve) => waiting.push(resolve))) return null;
      // something newer may have been said meanwhile, which stands for all that came before it
    }
    return this.#unstored.has(subject) ? (this.#failure?.text ?? 'The store has not taken it.') : null;
  }

  /** Tells the store once more what it owes. May be called twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    await Promise.all([...this.#unstored].map(([subject, writes]) => this.#try(subject, writes)));
    if (this.#unstored.size > 0)
      this.#ports.log.error(`${this.#unstored.size} changes are lost: the store did not take them.`);
  }

  #latest(subject: string): Writes | undefined {
    return this.#underWay.get(subject)?.writes ?? this.#unstored.get(subject);
  }

  /** `orElse`: what is owed if this fails and nothing newer has been said meanwhile. */
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

  /** False: it is owed, or something newer is. */
  async #try(subject: string, writes: Writes): Promise<boolean> {
    try {
      await this.#write(subject, writes, writes);
      return true;
    } catch (error) {
      // something newer about it is under way otherwise, and speaks for itself
      if (this.#unstored.size > 0) this.#reportFailure(error);
      return false;
    }
  }

  #reportFailure(error: unknown): void {
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#ports.log.error(
      `The store could not keep a change: ${messageOf(error)} It is told again every ${RETRY_MS / 1_000} s; ` +
        'what it owes is lost if the registry ends before.',
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

  /** One first: a store that refuses it need not be told all the others. Nothing: something newer was kept instead. */
  async #retry(): Promise<void> {
    const [first] = this.#unstored;
    if (first !== undefined && !(await this.#try(...first))) return;
    const kept = await Promise.all([...this.#unstored].map(([subject, writes]) => this.#try(subject, writes)));
    if (kept.includes(false) || this.#unstored.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#isFailing) this.#ports.log.info('The store has kept everything that it owed.');
    this.#isFailing = false;
  }
}

/** Instances have names that are not empty; self-preservation is one subject. */
function subjectOf(write: Write): string {
  if ('put' in write) return write.put.record.id;
  if ('bury' in write) return write.bury.id;
  return 'forget' in write ? write.forget : '';
}
