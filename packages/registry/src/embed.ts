import { messageOf, RollcallError } from '@rollcall/core';
import type { Timer } from '@rollcall/core';
import { urlOf } from './http/listen.js';
import { holderOf } from './http/probe.js';
import { startRegistry } from './http/start.js';
import type { RunningRegistry } from './http/start.js';
import { parseStartOptions } from './http/start-options.js';
import type { Settings, StartOptions } from './http/start-options.js';

export interface EmbedOptions extends StartOptions {
  /** Allows it in production, where the registry then lives and dies with its process. Default false. */
  readonly production?: boolean;
}

/** A registry inside another process. `RollcallModule.forRoot({ registry })` starts and closes it. */
export interface EmbeddedRegistry {
  /** Where it is reached: known beforehand unless the port is 0. */
  readonly url: string;
  /**
   * Binds the port, or joins the registry that has it already. Rejects in production unless it was made for that, and with
   * PORT_TAKEN when another program has the port. A second call is the same as the first.
   */
  start(environment: { readonly production: boolean }): Promise<void>;
  /** Stops serving, if it serves. May be called twice, and without a start. */
  close(): Promise<void>;
}

/**
 * For development and small systems: whichever process starts first serves the registry, the others join it, and when it dies
 * one of them takes the port within one heartbeat. Throws OPTION_INVALID. Nothing is opened before `start`.
 */
export function embedRegistry(options: EmbedOptions = {}): EmbeddedRegistry {
  const { production = false, ...rest } = options;
  return new Embedded(rest, production);
}

/** How often those who joined look whether the registry is still there. */
const LONGEST_LOOK_MS = 1_000;

class Embedded implements EmbeddedRegistry {
  readonly #options: StartOptions;
  readonly #settings: Settings;
  readonly #isForProduction: boolean;
  #started: Promise<void> | null = null;
  /** The look under way, if any. */
  #looking: Promise<void> = Promise.resolve();
  #timer: Timer | null = null;
  #running: RunningRegistry | null = null;
  #isClosed = false;
  #complaint = '';

  constructor(options: StartOptions, isForProduction: boolean) {
    this.#options = options;
    this.#settings = parseStartOptions(options);
    this.#isForProduction = isForProduction;
  }

  get url(): string {
    return this.#running?.url ?? urlOf(this.#settings.host, this.#settings.port);
  }

  start({ production }: { readonly production: boolean }): Promise<void> {
    this.#started ??= production && !this.#isForProduction ? Promise.reject(notForProduction()) : this.#begin();
    return this.#started;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#started?.catch(() => undefined);
    await this.#looking;
    this.#timer?.cancel();
    await this.#running?.close();
  }

  async #begin(): Promise<void> {
    await this.#serveOrJoin();
    const { log } = this.#settings;
    log.info(
      this.#running === null
        ? `Joined the registry at ${this.url}.`
        : `This process serves the registry at ${this.url}.`,
    );
    this.#lookLater();
  }

  /** Two that start at once may both find nobody: the port decides, and the other one joins. */
  async #serveOrJoin(): Promise<void> {
    if (await this.#isServedByOther()) return;
    try {
      this.#running = await startRegistry(this.#options);
    } catch (error) {
      if (!(await this.#isServedByOther())) throw error;
    }
  }

  async #isServedByOther(): Promise<boolean> {
    return this.#settings.port !== 0 && (await holderOf(this.url)) === 'registry';
  }

  #lookLater(): void {
    if (this.#running !== null || this.#isClosed) return;
    const { time, policy } = this.#settings;
    const look = (): void => {
      this.#looking = this.#look();
    };
    this.#timer = time.setTimer(Math.min(LONGEST_LOOK_MS, policy.intervalMs / 2), look, { background: true });
  }

  async #look(): Promise<void> {
    const { log } = this.#settings;
    try {
      await this.#serveOrJoin();
      if (this.#running !== null) log.info(`The registry at ${this.url} was gone: this process serves it now.`);
      this.#complaint = '';
    } catch (error) {
      const complaint = messageOf(error);
      if (complaint !== this.#complaint) log.warn(complaint);
      this.#complaint = complaint;
    }
    this.#lookLater();
  }
}

function notForProduction(): RollcallError {
  return new RollcallError(
    'OPTION_INVALID',
    'An embedded registry dies with the process that serves it, so it is refused with NODE_ENV=production. Run one of its own ' +
      '(npx rollcall up) and set ROLLCALL_URL, or say that this is meant: embedRegistry({ production: true }).',
  );
}
