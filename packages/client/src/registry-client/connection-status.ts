import { fullJitterMs, messageOf } from '@rollcall/core';
import type { Log, Meter, Random } from '@rollcall/core';
import { connectErrorIn } from './connect-error.js';
import { MOST_REGISTRIES } from './registry-order.js';

/** `waiting`: no registry has been found yet; the others say whether the change feed is open. */
export type ContactStatus = 'waiting' | 'connected' | 'disconnected';

/**
 * Is the registry there? The feed and the session both find out, people are told once: one line when it is missing, one when it
 * is found again, and silence between. A feed that breaks and is open again at the first try is not worth a line.
 */
export class Contact {
  readonly #log: Log;
  /** Its name, or their names. */
  readonly registry: string;
  readonly #listeners = new Set<(status: ContactStatus) => void>();
  readonly #missListeners = new Set<() => void>();
  #status: ContactStatus = 'waiting';
  #everReached = false;
  #missing = false;
  /** What people were told to mend since it last answered: of several registries each may have its own. */
  readonly #troubles = new Set<string>();

  constructor(log: Log, registry: string) {
    this.#log = log;
    this.registry = registry;
  }

  get status(): ContactStatus {
    return this.#status;
  }

  /** Called after each change of the status, synchronously; it must not throw. Returns how to stop. */
  onChange(listener: (status: ContactStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Called when a try to reach the registry gets no answer, and the one before did or there was none; it must not throw. */
  onMissing(listener: () => void): void {
    this.#missListeners.add(listener);
  }

  /** The registry answered. */
  reached(): void {
    if (this.#missing) this.#log.info(`The registry at ${this.registry} is there${this.#everReached ? ' again' : ''}.`);
    this.#missing = false;
    this.#troubles.clear();
    this.#everReached = true;
  }

  /** A try to reach the registry got no answer: the error, or why in words. */
  missed(failure: unknown): void {
    const trouble = connectErrorIn(failure)?.message ?? null;
    const isNews = trouble !== null && !this.#troubles.has(trouble) && this.#troubles.size < MOST_REGISTRIES;
    if (this.#missing && !isNews) return;
    const why = typeof failure === 'string' ? failure : messageOf(failure);
    const [wasMissing, registry] = [this.#missing, this.registry];
    this.#missing = true;
    if (isNews) this.#troubles.add(trouble);
    this.#log.warn(this.#missedText(trouble, trouble ?? why));
    if (!this.#everReached && trouble === null) this.#log.debug(`No registry at ${registry}: ${why}`);
    if (!wasMissing) for (const listener of this.#missListeners) listener();
  }

  #missedText(trouble: string | null, why: string): string {
    const registry = this.registry;
    if (this.#everReached)
      return `The registry at ${registry} does not answer (${why.replace(/\.$/, '')}). Calls go on with what is known; trying again.`;
    return trouble === null
      ? `no registry at ${registry}: run \`npx rollcall up\`, or set ROLLCALL_URL`
      : `The registry at ${registry} cannot be reached: ${trouble} Trying again.`;
  }

  /** The change feed is open. */
  opened(): void {
    this.reached();
    this.#become('connected');
  }

  /** The change feed ended. */
  closed(): void {
    this.#become('disconnected');
  }

  #become(status: ContactStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    for (const listener of this.#listeners) listener(status);
  }
}

export function countContact(contact: Contact, meter: Meter): void {
  const connected = meter.gauge('rollcall_registry_connected', 'Is the change feed open? 1 or 0.');
  connected.set(0);
  contact.onChange((status) => connected.set(status === 'connected' ? 1 : 0));
}

/** A registry that was killed and restarted is often there at once. */
const FIRST_WAIT_MS = 100;
/** Never a tight loop, whatever chance says. */
const SHORTEST_WAIT_MS = 10;
const LONGEST_WAIT_MS = 4_000;
/** The longest wait stays that far under a heartbeat interval, so that a registry that is back has its full view within one. */
const INTERVAL_RATIO = 0.8;

/** How long to wait before the `n`th try in a row (from 0) to reach the registry again: full jitter under min(4 s, 0.8 intervals). */
export function waitMs(n: number, intervalMs: number, random: Random): number {
  const capMs = Math.min(LONGEST_WAIT_MS, intervalMs * INTERVAL_RATIO);
  return Math.max(SHORTEST_WAIT_MS, fullJitterMs({ baseMs: Math.min(FIRST_WAIT_MS, capMs), capMs }, n, random));
}
