import { messageOf, RollcallError } from '@rollcall/core';
import type { Log, Timer } from '@rollcall/core';
import { urlOf } from './http/listen.js';
import { holderOf } from './http/port-probe.js';
import { parseStartOptions } from './http/start-options.js';
import type { Settings, StartOptions } from './http/start-options.js';
import { startRegistry } from './http/start.js';
import type { RunningRegistry } from './http/start.js';
import { diskStore } from './store/disk/disk.js';

export interface EmbedOptions extends StartOptions {
  /** Allows it in production, where the registry then lives and dies with its process. Default false. */
  readonly production?: boolean;
  /**
   * The folder in which whoever serves keeps everything, so that the next one goes on where the last one stopped: one for all processes of
   * a machine. Default: memory; then services register again with the next one, which takes them a heartbeat. Not together with `store`.
   */
  readonly folder?: string;
}

/** What the process is that embeds it. */
export interface EmbedEnvironment {
  readonly production: boolean;
  /** Who is told who serves, and what goes wrong, unless the option `log` says otherwise. Default: nobody. */
  readonly log?: Log;
}

/** A registry inside another process. `RollcallModule.forRoot({ registry })` starts and closes it. */
export interface EmbeddedRegistry {
  /** Where it is reached: known beforehand unless the port is 0. */
  readonly url: string;
  /**
   * Binds the port, or joins the registry that has it already. Rejects in production unless it was made for that, and with
   * PORT_TAKEN when another program has the port; then it looks again now and then. A second call is the same as the first.
   */
  start(environment: EmbedEnvironment): Promise<void>;
  /** Stops serving, if it serves. May be called twice, and without a start. */
  close(): Promise<void>;
}

/**
 * For development and small systems: whichever process starts first serves the registry, the others join it, and when it dies
 * one of them takes the port within one heartbeat. Throws OPTION_INVALID. Nothing is opened before `start`.
 */
export function embedRegistry(options: EmbedOptions = {}): EmbeddedRegistry {
  const { production = false, folder, ...rest } = options;
  return new Embedded(folder === undefined ? rest : keptIn(folder, rest), production);
}

function keptIn(folder: string, options: StartOptions): StartOptions {
  const { store, log, time, random } = options;
  if (store !== undefined) {
    throw new RollcallError('OPTION_INVALID', 'folder and store are two places for the same: leave one of them out.');
  }
  const ports = { ...(log && { log }), ...(time && { time }), ...(random && { random }) };
  return { ...options, store: diskStore({ folder, ...ports }) };
}

/** How often those who joined look whether the registry is still there. */
const MAX_CHECK_MS = 1_000;

class Embedded implements EmbeddedRegistry {
  #options: StartOptions;
  readonly #settings: Settings;
  #log: Log;
  readonly #isForProduction: boolean;
  #started: Promise<void> | null = null;
  /** The look under way, if any. */
  #checking: Promise<void> = Promise.resolve();
  #timer: Timer | null = null;
  #running: RunningRegistry | null = null;
  #isClosed = false;
  /** What went wrong last, and was it told? */
  #lastFailure = '';
  #isLogged = false;

  constructor(options: StartOptions, isForProduction: boolean) {
    this.#options = options;
    this.#settings = parseStartOptions(options);
    this.#log = this.#settings.log;
    this.#isForProduction = isForProduction;
  }

  get url(): string {
    const { host, port, tls } = this.#settings;
    return this.#running?.url ?? urlOf(host, port, tls === undefined ? 'http' : 'https');
  }

  start({ production, log }: EmbedEnvironment): Promise<void> {
    if (this.#started !== null) return this.#started;
    if (log !== undefined && this.#options.log === undefined) this.#useLog(log);
    this.#started = production && !this.#isForProduction ? Promise.reject(notForProduction()) : this.#begin();
    return this.#started;
  }

  /** What the registry itself has to say of its services is chatter beside the application's own. */
  #useLog(log: Log): void {
    this.#log = log;
    const inside: Log = {
      debug: (text) => log.debug(text),
      info: (text) => log.debug(text),
      warn: (text) => log.warn(text),
      error: (text) => log.error(text),
    };
    this.#options = { ...this.#options, log: inside };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#started?.catch(() => undefined);
    await this.#checking;
    this.#timer?.cancel();
    await this.#running?.close();
  }

  /** What keeps it from the port now may be gone soon: it goes on looking. */
  async #begin(): Promise<void> {
    try {
      await this.#serveOrJoin();
      this.#log.info(
        this.#running === null
          ? `Joined the registry at ${this.url}.`
          : `This process serves the registry at ${this.url}.`,
      );
    } catch (error) {
      this.#lastFailure = messageOf(error);
      this.#isLogged = true; // by whoever started it
      throw error;
    } finally {
      this.#scheduleCheck();
    }
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

  /** By one that services reach where they look: one at another scheme is none to join, and `startRegistry` says so. */
  async #isServedByOther(): Promise<boolean> {
    return this.#settings.port !== 0 && (await holderOf(this.url)) === 'registry';
  }

  #scheduleCheck(): void {
    if (this.#running !== null || this.#isClosed) return;
    const { time, policy } = this.#settings;
    const check = (): void => {
      this.#checking = this.#check();
    };
    this.#timer = time.setTimer(Math.min(MAX_CHECK_MS, policy.intervalMs / 2), check, { background: true });
  }

  async #check(): Promise<void> {
    try {
      await this.#serveOrJoin();
      if (this.#running !== null) this.#log.info(`The registry at ${this.url} was gone: this process serves it now.`);
      else if (this.#isLogged) this.#log.info(`Joined the registry at ${this.url}.`);
      this.#lastFailure = '';
      this.#isLogged = false;
    } catch (error) {
      this.#reportFailure(messageOf(error));
    }
    this.#scheduleCheck();
  }

  /** Told when it happens a second time: the last one may have been about to close, with the port or the folder still in its hands. */
  #reportFailure(failure: string): void {
    const isSame = failure === this.#lastFailure;
    if (isSame && !this.#isLogged) this.#log.warn(failure);
    this.#isLogged = isSame;
    this.#lastFailure = failure;
  }
}

function notForProduction(): RollcallError {
  return new RollcallError(
    'OPTION_INVALID',
    'An embedded registry dies with the process that serves it, so it is refused with NODE_ENV=production. Run one of its own ' +
      '(npx rollcall up) and set ROLLCALL_URL, or say that this is meant: embedRegistry({ production: true }).',
  );
}
