import type { Log } from '@rollcall/core';

/** `waiting`: no registry has been found yet; the others say whether the change feed is open. */
export type ContactStatus = 'waiting' | 'connected' | 'disconnected';

/**
 * Is the registry there? The feed and the session both find out, people are told once: one line when it is missing, one when it
 * is found again, and silence between. A feed that breaks and is open again at the first try is not worth a line.
 */
export class Contact {
  readonly #log: Log;
  readonly #registry: string;
  readonly #listeners = new Set<(status: ContactStatus) => void>();
  #status: ContactStatus = 'waiting';
  #everReached = false;
  #missing = false;

  constructor(log: Log, registry: string) {
    this.#log = log;
    this.#registry = registry;
  }

  get status(): ContactStatus {
    return this.#status;
  }

  /** Called after each change of the status, synchronously; it must not throw. Returns how to stop. */
  onChange(listener: (status: ContactStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The registry answered. */
  reached(): void {
    if (this.#missing)
      this.#log.info(`The registry at ${this.#registry} is there${this.#everReached ? ' again' : ''}.`);
    this.#missing = false;
    this.#everReached = true;
  }

  /** A try to reach the registry got no answer. */
  missed(why: string): void {
    if (this.#missing) {
      this.#log.debug(`Still no registry at ${this.#registry}: ${why}`);
      return;
    }
    this.#missing = true;
    this.#log.warn(
      this.#everReached
        ? `The registry at ${this.#registry} does not answer (${why}). Calls go on with what is known; trying again.`
        : `no registry at ${this.#registry}: run \`npx rollcall up\`, or set ROLLCALL_URL`,
    );
    if (!this.#everReached) this.#log.debug(`No registry at ${this.#registry}: ${why}`);
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
