import type { Child } from './launch.js';

export type Over = 'tcp' | 'http' | 'grpc';
export const PROTOCOLS: readonly Over[] = ['tcp', 'http', 'grpc'];
/** `bare`: Nest's ClientProxy, undici or grpc-js, which call the instances in turn. */
export type Client = 'rollcall' | 'bare';
/** `book` must not be executed twice, the others may. `read` takes 70 ms, `slow` 400 ms, the others 10 ms. */
export type Verb = 'find' | 'book' | 'read' | 'slow';

export interface Terms {
  readonly deadlineMs: number;
  readonly idempotent: boolean;
  /** Rollcall only. Default: the one service of the world. */
  readonly service?: string;
}

export interface FailedCall {
  readonly id: string;
  readonly verb: Verb;
  readonly code: string;
  readonly text: string;
  /** `<instance> <outcome> <ms>`, in order. */
  readonly attempts: readonly string[];
  /** When the call was due, ms since the load began. */
  readonly dueMs: number;
  /** How long it took, ms. */
  readonly ms: number;
}

/** The results of many calls. */
export interface Report {
  readonly calls: number;
  /** The number of failures, by code. */
  readonly failed: Readonly<Record<string, number>>;
  /** The first 2,000 of these. */
  readonly failures: readonly FailedCall[];
  /**
   * For each second since the load began: how many of the calls due then each instance answered, and how many `failed`.
   */
  readonly seconds: readonly Readonly<Record<string, number>>[];
  /** The largest delay of a call's start, ms. */
  readonly lagMs: number;
  readonly ms: { readonly p50: number; readonly p99: number; readonly max: number };
}

export type Rates = Readonly<Partial<Record<Verb, number>>>;

/** How long a command may take beyond its own duration, ms. */
const COMMAND_TIMEOUT_MS = 50_000;

/** A process that makes calls over one protocol, see `programs/law-caller.mjs`. */
export class LawCaller {
  readonly over: Over;
  readonly client: Client;
  readonly child: Child;
  /** The prefix of the ids of its calls. */
  readonly name: string;
  #commands = 0;

  constructor({ child, client, over, name }: Pick<LawCaller, 'child' | 'client' | 'over' | 'name'>) {
    this.child = child;
    this.name = name;
    this.client = client;
    this.over = over;
  }

  /** Resolves when it runs and knows the service, if that exists. */
  async ready(isRegistered: boolean): Promise<void> {
    await this.#ask('ready', { isRegistered });
  }

  burst(verb: Verb, calls: number, terms: Terms): Promise<Report> {
    return this.#report('burst', { verb, calls, terms });
  }

  /** Keeps `concurrent` calls under way for `forMs`. */
  closed(verb: Verb, terms: Terms, { concurrent, forMs }: { concurrent: number; forMs: number }): Promise<Report> {
    return this.#report('closed', { verb, concurrent, forMs, terms });
  }

  /** One call with an id of this many bytes. */
  large(verb: Verb, bytes: number, terms: Terms): Promise<Report> {
    return this.#report('large', { verb, bytes, terms });
  }

  /** Makes `calls` calls, aborts each at a random time within `afterMs` after its start, with `concurrent` in flight. */
  abort(
    verb: Verb,
    terms: Terms,
    bounds: { readonly calls: number; readonly concurrent: number; readonly afterMs: number },
  ): Promise<Report> {
    return this.#report('abort', { verb, terms, ...bounds });
  }

  /** Makes calls at these rates, whether or not earlier ones have been answered, until `stop`. */
  async start(load: string, rates: Rates, terms: Readonly<Partial<Record<Verb, Terms>>>): Promise<void> {
    await this.#ask('start', { load, rates, terms });
  }

  /** Resolves when the last call is over. */
  stop(load: string): Promise<Report> {
    return this.#report('stop', { load });
  }

  /** Blocks the event loop of the caller. */
  async block(ms: number): Promise<void> {
    await this.#ask('block', { ms });
  }

  async #report(command: string, terms: object): Promise<Report> {
    return (await this.#ask(command, terms)) as unknown as Report;
  }

  async #ask(command: string, terms: object): Promise<Record<string, unknown>> {
    const n = (this.#commands += 1);
    this.child.type(`${JSON.stringify({ n, do: command, ...terms })}\n`);
    const line = await this.#line(new RegExp(`^{"n":${n}[,}]`), command);
    const answer = JSON.parse(line) as Record<string, unknown>;
    if (answer['error'] !== undefined)
      throw new Error(`${command} of ${this.client} over ${this.over}: ${JSON.stringify(answer['error'])}`);
    return answer;
  }

  #line(match: RegExp, command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const late = new Error(
        `${command} of ${this.client} over ${this.over}: no answer within ${COMMAND_TIMEOUT_MS} ms`,
      );
      const timer = setTimeout(() => reject(late), COMMAND_TIMEOUT_MS);
      this.child
        .line(match)
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
    });
  }
}
