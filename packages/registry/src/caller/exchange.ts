import { addressOf, heartbeatAnswerMessage, messageOf } from '@rollcall/core';
import type { Endpoint, HeartbeatAnswer, Time, Timer } from '@rollcall/core';
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { CallOutcome } from './caller.js';

/** What came back, once it is complete: an answer to Heartbeat-1, or why it is none. What it says otherwise is never repeated. */
export type Answer = HeartbeatAnswer | { readonly nonsense: string };

/** Reads the answer to one call from its bytes. */
export interface AnswerReader {
  /** The next bytes. Null: more must come. */
  read(bytes: Uint8Array): Answer | null;
  /** No more will come. Null: it was no answer. */
  end(): Answer | null;
}

/** One question and how to read what comes back. */
export interface Question {
  readonly endpoint: Endpoint;
  readonly text: string;
  readonly reader: AnswerReader;
  /** More than this is not read. */
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

export interface ExchangeOptions {
  readonly time: Time;
}

/** The called side closes first; one that does not is left after this. */
const GRACE_MS = 500;
/** A late answer is still taken in for so long, and so long a farewell may take: whoever closes on unread bytes sends an RST. */
const LINGER_MS = 2_000;

/** One question, one answer, on a connection of its own: what callers over plain TCP have in common. */
export class Exchanges {
  readonly #options: ExchangeOptions;
  readonly #open = new Set<Exchange>();

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Never rejects, and settles within `timeoutMs`. The connection may end a little later. */
  ask(question: Question): Promise<CallOutcome> {
    const { time } = this.#options;
    return new Promise((resolve) => {
      let socket: Socket;
      try {
        socket = open(question.endpoint);
      } catch (error) {
        resolve({ kind: 'failed', text: messageOf(error), ms: 0 });
        return;
      }
      const exchange = new Exchange(time, socket, question, resolve);
      this.#open.add(exchange);
      socket.once('close', () => this.#open.delete(exchange));
    });
  }

  /** Breaks off all of them. May be called twice. */
  close(): void {
    for (const exchange of this.#open) exchange.abort();
  }
}

/** With TLS the peer must prove who it is, by the certificates that Node trusts. */
function open({ host, port, tls }: Endpoint): Socket {
  const to = { host, port, autoSelectFamily: false };
  if (!tls) return connect(to);
  return connectTls(isIP(host) === 0 ? { ...to, servername: host } : to);
}

class Exchange {
  readonly #time: Time;
  readonly #socket: Socket;
  readonly #question: Question;
  readonly #resolve: (outcome: CallOutcome) => void;
  readonly #startedAt: number;
  #timer: Timer;
  /** The peer accepted: from here on an end without an answer is `closed`. */
  #isAccepted = false;
  #isSettled = false;
  #received = 0;

  constructor(time: Time, socket: Socket, question: Question, resolve: (outcome: CallOutcome) => void) {
    this.#time = time;
    this.#socket = socket;
    this.#question = question;
    this.#resolve = resolve;
    this.#startedAt = time.now();
    this.#timer = time.setTimer(question.timeoutMs, () => this.#onTimeout(), { background: true });
    socket.once('connect', () => (this.#isAccepted = true));
    socket.once(question.endpoint.tls ? 'secureConnect' : 'connect', () => socket.write(question.text));
    socket.on('data', (bytes: Uint8Array) => this.#onData(bytes));
    socket.once('end', () => this.#onEnd());
    socket.on('error', (error) => this.#onError(error));
    socket.once('close', () => {
      this.#onEnd();
      this.#timer.cancel();
    });
  }

  abort(): void {
    this.#settle({ kind: 'closed', text: 'the registry is closing' });
    this.#socket.destroy();
  }

  #onData(bytes: Uint8Array): void {
    this.#received += bytes.length;
    const isTooMuch = this.#received > this.#question.maxBytes;
    if (!this.#isSettled) {
      const answer = isTooMuch
        ? { nonsense: `answers with more than ${this.#question.maxBytes} bytes` }
        : this.#question.reader.read(bytes);
      if (answer !== null) this.#onAnswer(answer);
    }
    if (isTooMuch) this.#socket.destroy();
  }

  #onAnswer(answer: Answer): void {
    this.#settle(
      'nonsense' in answer ? { kind: 'failed', text: this.#placed(answer.nonsense) } : { kind: 'answered', ...answer },
    );
    this.#leaveAfter(GRACE_MS);
  }

  #onEnd(): void {
    if (this.#isSettled) return;
    const answer = this.#question.reader.end();
    if (answer === null) this.#settle({ kind: 'closed', text: this.#placed('accepts and closes without an answer') });
    else this.#onAnswer(answer);
  }

  /** A process that dies resets what it had accepted and not yet read: that is an end without an answer, too. */
  #onError(error: Error & { readonly code?: string }): void {
    const text = this.#placed(error.message);
    if (!this.#isAccepted && error.code === 'ECONNREFUSED') this.#settle({ kind: 'refused', text });
    else if (this.#isAccepted && ENDINGS.has(error.code ?? '')) this.#settle({ kind: 'closed', text });
    else this.#settle({ kind: 'failed', text });
  }

  #onTimeout(): void {
    const { timeoutMs } = this.#question;
    const missing = this.#isAccepted ? 'no answer' : 'no connection';
    this.#settle({ kind: 'failed', text: this.#placed(`${missing} within ${timeoutMs} ms`) });
    if (this.#isAccepted) this.#leaveAfter(LINGER_MS);
    else this.#socket.destroy();
  }

  /** Whoever is asked closes first; if it does not, we do, and wait for its farewell. */
  #leaveAfter(ms: number): void {
    this.#timer.cancel();
    const leave = (): void => {
      this.#socket.end();
      this.#timer = this.#time.setTimer(LINGER_MS, () => this.#socket.destroy(), { background: true });
    };
    this.#timer = this.#time.setTimer(ms, leave, { background: true });
  }

  #settle(outcome: WithoutMs<CallOutcome>): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#timer.cancel();
    this.#resolve({ ...outcome, ms: this.#time.now() - this.#startedAt });
  }

  /** With the address, which Node's own errors carry only in part. */
  #placed(text: string): string {
    const address = addressOf(this.#question.endpoint);
    return text.includes(`:${this.#question.endpoint.port}`) ? text : `${text} (${address})`;
  }
}

type WithoutMs<Outcome> = Outcome extends unknown ? Omit<Outcome, 'ms'> : never;

const ENDINGS: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);

/** Reads the JSON of an answer to Heartbeat-1. */
export function toAnswer(value: unknown): Answer {
  const read = heartbeatAnswerMessage.parse(value);
  return read.ok ? read.value : { nonsense: 'answers, but not as Heartbeat-1 is answered' };
}
