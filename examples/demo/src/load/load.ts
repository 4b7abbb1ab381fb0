import { messageOf } from '@rollcall/core';
import { Agent, get } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Tally } from './tally.js';
import type { Calls } from './tally.js';

/** Each gets half of the calls. */
const PATHS = ['/a/ping', '/b/ping'] as const;
/** A call without an answer by then has failed: far longer than the gateway takes to refuse. */
const DEADLINE_MS = 10_000;
/** Shorter than servers keep an idle connection, so that none is used just as it is closed. */
const IDLE_MS = 3_000;
/** The limit of calls in flight; further ones fail, so that a gateway that hangs costs bounded memory. */
const MAX_IN_FLIGHT = 2_000;
/** After a longer sleep (a laptop, Ctrl-Z) the calls that were due meanwhile are skipped. */
const MAX_LATENESS_MS = 1_000;
/** Characters shown of an answer that is not 200. */
const MAX_SHOWN = 300;

/**
 * Calls through the gateway at an even rate, whether or not the earlier ones have been answered (an open loop), so that
 * a call that hangs does not hide the others' results. The duration of a call starts when it was due.
 */
export class Load {
  readonly #gateway: string;
  readonly #everyMs: number;
  readonly #tally = new Tally();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Infinity, timeout: IDLE_MS });
  #timer: NodeJS.Timeout | null = null;
  #dueAt = 0;
  #sent = 0;
  #underWay = 0;
  #isClosed = false;

  /** `gateway`: its URL; `rate`: calls a second. */
  constructor(gateway: string, rate: number) {
    this.#gateway = gateway;
    this.#everyMs = 1_000 / rate;
  }

  read(): Calls {
    return this.#tally.read(performance.now());
  }

  start(): void {
    this.#dueAt = performance.now();
    this.#send();
  }

  /** Calls in flight no longer count. May be called twice. */
  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#agent.destroy();
  }

  #send(): void {
    const now = performance.now();
    if (now - this.#dueAt > MAX_LATENESS_MS) this.#dueAt = now;
    for (; this.#dueAt <= now; this.#dueAt += this.#everyMs) this.#call(this.#dueAt);
    this.#timer = setTimeout(() => this.#send(), Math.max(1, this.#dueAt - performance.now()));
  }

  #call(dueAt: number): void {
    const path = PATHS[this.#sent % PATHS.length] ?? PATHS[0];
    this.#sent += 1;
    if (this.#underWay >= MAX_IN_FLIGHT) {
      this.#tally.failed(dueAt, `GET ${path}: not sent, ${MAX_IN_FLIGHT} calls wait for their answers`);
    } else void this.#await(path, dueAt);
  }

  async #await(path: string, dueAt: number): Promise<void> {
    this.#underWay += 1;
    const error = await this.#ask(path);
    this.#underWay -= 1;
    if (this.#isClosed) return;
    const now = performance.now();
    if (error === null) this.#tally.answered(now, now - dueAt);
    else this.#tally.failed(now, `GET ${path}: ${error}`);
  }

  /** The error, or null. */
  async #ask(path: string): Promise<string | null> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    try {
      const response = await answerTo(get(this.#gateway + path, { agent: this.#agent, signal }));
      const text = await textOf(response);
      return response.statusCode === 200 ? null : `${response.statusCode ?? 0} ${text.slice(0, MAX_SHOWN)}`;
    } catch (error) {
      return signal.aborted ? `no answer within ${DEADLINE_MS / 1_000} s` : messageOf(error);
    }
  }
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    // a second error may occur while the answer is read, and is handled there
    request.on('error', reject);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response) text += String(part);
  return text;
}
