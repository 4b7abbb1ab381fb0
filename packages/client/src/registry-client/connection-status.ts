import { fullJitterMs, messageOf } from '@rollcall/core';
import type { Log, Meter, Random } from '@rollcall/core';
import { connectErrorIn } from './connect-error.js';
import { MAX_REGISTRIES } from './registry-order.js';

/** `waiting`: no registry has answered yet; the others say whether the change feed is open. */
export type ContactStatus = 'waiting' | 'connected' | 'disconnected';

/**
 * Tracks whether the registry is reachable. The feed and the registration both report here, and it logs one line when the registry becomes
 * unreachable and one when it answers again. A feed that breaks and reopens at the first attempt is not logged.
 */
export class Contact {
  readonly #log: Log;
  /** The name of the registry, or of all registries. */
  readonly registry: string;
  readonly #listeners = new Set<(status: ContactStatus) => void>();
  readonly #missListeners = new Set<() => void>();
  #status: ContactStatus = 'waiting';
  #everReached = false;
  #missing = false;
  /** The connect errors that were logged since the last answer; each of several registries may have its own. */
  readonly #loggedErrors = new Set<string>();

  constructor(log: Log, registry: string) {
    this.#log = log;
    this.registry = registry;
  }

  get status(): ContactStatus {
    return this.#status;
  }

  /**
   * Adds a listener for changes of the status, called synchronously; it must not throw. Returns a function that removes
   * it.
   */
  onChange(listener: (status: ContactStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Adds a listener for the first failed attempt at the start or after an answer; it must not throw. */
  onMissing(listener: () => void): void {
    this.#missListeners.add(listener);
  }

  /** Call it when the registry answered. */
  reached(): void {
    if (this.#missing) this.#log.info(`The registry at ${this.registry} answers${this.#everReached ? ' again' : ''}.`);
    this.#missing = false;
    this.#loggedErrors.clear();
    this.#everReached = true;
  }

  /** Call it when an attempt to reach the registry got no answer, with the error or a text with the reason. */
  missed(failure: unknown): void {
    const connectError = connectErrorIn(failure)?.message ?? null;
    const isNew =
      connectError !== null && !this.#loggedErrors.has(connectError) && this.#loggedErrors.size < MAX_REGISTRIES;
    if (this.#missing && !isNew) return;
    const why = typeof failure === 'string' ? failure : messageOf(failure);
    const [wasMissing, registry] = [this.#missing, this.registry];
    this.#missing = true;
    if (isNew) this.#loggedErrors.add(connectError);
    this.#log.warn(this.#missedText(connectError, connectError ?? why));
    if (!this.#everReached && connectError === null) this.#log.debug(`No registry at ${registry}: ${why}`);
    if (!wasMissing) for (const listener of this.#missListeners) listener();
  }

  #missedText(connectError: string | null, why: string): string {
    const registry = this.registry;
    if (this.#everReached)
      return `The registry at ${registry} does not answer (${why.replace(/\.$/, '')}). Calls continue with the known instances; trying again.`;
    return connectError === null
      ? `no registry at ${registry}: run \`npx rollcall up\`, or set ROLLCALL_URL`
      : `The registry at ${registry} cannot be reached: ${connectError} Trying again.`;
  }

  /** Call it when the change feed is open. */
  opened(): void {
    this.reached();
    this.#become('connected');
  }

  /** Call it when the change feed ended. */
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
  const connected = meter.gauge('rollcall_registry_connected', 'Whether the change feed is open (1 or 0).');
  connected.set(0);
  contact.onChange((status) => connected.set(status === 'connected' ? 1 : 0));
}

/** The maximum first wait: a registry that was killed and restarted often answers again at once. */
const FIRST_WAIT_MS = 100;
/** The minimum wait, so that jitter never causes a tight loop. */
const MIN_WAIT_MS = 10;
const MAX_WAIT_MS = 4_000;
/** The maximum wait as a share of a heartbeat interval, so that a registry that answers again has its full view within one interval. */
const INTERVAL_RATIO = 0.8;

/**
 * The wait in ms before the `n`th consecutive attempt (from 0) to reach the registry: full jitter under min(4 s, 0.8
 * intervals).
 */
export function waitMs(n: number, intervalMs: number, random: Random): number {
  const capMs = Math.min(MAX_WAIT_MS, intervalMs * INTERVAL_RATIO);
  return Math.max(MIN_WAIT_MS, fullJitterMs({ baseMs: Math.min(FIRST_WAIT_MS, capMs), capMs }, n, random));
}
