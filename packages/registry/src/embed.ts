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
  /** Allows it in production, where the registry ends with its process. Default false. */
  readonly production?: boolean;
  /**
   * The folder in which the serving process keeps everything, so that the next one continues: use the same one for all
   * processes of a machine. Default: memory; then services register again with the next one, within a heartbeat. Not
   * together with `store`.
   */
  readonly folder?: string;
}

/** The environment of the embedding process. */
export interface EmbedEnvironment {
  readonly production: boolean;
  /** Receives which process serves, and failures, unless the option `log` is set. Default: none. */
  readonly log?: Log;
}

/** A registry inside another process, which `RollcallModule.forRoot({ registry })` starts and closes. */
export interface EmbeddedRegistry {
  /** Its URL, which is known beforehand unless the port is 0. */
  readonly url: string;
  /**
   * Binds the port, or joins the registry that has it. Rejects in production unless allowed, and with PORT_TAKEN if
   * another program has the port; it then tries again periodically. A second call returns the same promise.
   */
  start(environment: EmbedEnvironment): Promise<void>;
  /** Stops serving, if it serves. Idempotent, also without a start. */
  close(): Promise<void>;
}

/**
 * For development and small systems: the process that starts first serves the registry, the others join it, and when it
 * dies one of them takes the port within one heartbeat. Throws OPTION_INVALID. Nothing is opened before `start`.
 */
export function embedRegistry(options: EmbedOptions = {}): EmbeddedRegistry {
  const { production = false, folder, ...rest } = options;
  return new Embedded(folder === undefined ? rest : keptIn(folder, rest), production);
}

function keptIn(folder: string, options: StartOptions): StartOptions {
  const { store, log, time, random } = options;
  if (store !== undefined) {
    throw new RollcallError(
      'OPTION_INVALID',
      'folder and store are two places for the same data: leave one of them out.',
    );
  }
  const ports = { ...(log && { log }), ...(time && { time }), ...(random && { random }) };
  return { ...options, store: diskStore({ folder, ...ports }) };
}

/** Maximum time between two checks of a joined process for the registry, ms. */
const MAX_CHECK_MS = 1_000;

class Embedded implements EmbeddedRegistry {
  #options: StartOptions;
  readonly #settings: Settings;
  #log: Log;
  readonly #isForProduction: boolean;
  #started: Promise<void> | null = null;
  /** The check under way, if any. */
  #checking: Promise<void> = Promise.resolve();
  #timer: Timer | null = null;
  #running: RunningRegistry | null = null;
  #isClosed = false;
  /** The last failure, and whether it was logged. */
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

  /** Lines of the registry about its services are demoted to debug, as the application has a log of its own. */
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

  /** Serves or joins; on a failure it keeps trying, as the cause may be temporary. */
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
      this.#isLogged = true; // the caller that receives the rejection logs it
      throw error;
    } finally {
      this.#scheduleCheck();
    }
  }

  /** Two processes that start at once may both find the port free: one gets it, and the other one joins. */
  async #serveOrJoin(): Promise<void> {
    if (await this.#isServedByOther()) return;
    try {
      this.#running = await startRegistry(this.#options);
    } catch (error) {
      if (!(await this.#isServedByOther())) throw error;
    }
  }

  /**
   * True for a registry at the URL that services use; one with the other scheme cannot be joined, and `startRegistry`
   * reports it.
   */
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
      if (this.#running !== null) this.#log.info(`The registry at ${this.url} has ended: this process serves it now.`);
      else if (this.#isLogged) this.#log.info(`Joined the registry at ${this.url}.`);
      this.#lastFailure = '';
      this.#isLogged = false;
    } catch (error) {
      this.#reportFailure(messageOf(error));
    }
    this.#scheduleCheck();
  }

  /** Logged from the second time on: a closing process may have held the port or the folder the first time. */
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
      '(npx rollcall up) and set ROLLCALL_URL, or allow it explicitly: embedRegistry({ production: true }).',
  );
}
