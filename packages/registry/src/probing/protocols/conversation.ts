import { Socket } from 'node:net';
import type { ConnectOpts, SocketConstructorOpts } from 'node:net';
import { addressOf } from '@rollcall/core';
import type { Endpoint, Time } from '@rollcall/core';
import { Alarm } from './alarms.js';
import type { Alarms } from './alarms.js';
import type { KeptSlot, ProbeOutcome } from './caller.js';
import type { Answer, AnswerReader, Dialect } from './dialect.js';
import type { Lingering } from './lingering.js';
import type { ConnectSecurely } from './tls.js';

/** One request and its terms. */
export interface Question {
  readonly endpoint: Endpoint;
  /** The request; each character is one byte (latin1). */
  readonly text: string;
  readonly nonce: string;
  readonly timeoutMs: number;
  /** Where the connection may be kept for the next question. */
  readonly slot: KeptSlot | null;
  /** True if the connection is kept there after the answer. */
  readonly keeps: boolean;
}

/** The state that all conversations of one caller share. */
export interface ConversationContext {
  readonly time: Time;
  readonly dialect: Dialect;
  readonly alarms: Alarms;
  readonly lingering: Lingering;
  /** Opens TLS connections and verifies the peer. */
  readonly connectSecurely: ConnectSecurely;
  /** The read buffer of all plain sockets: each is done with it before the next one reads. */
  readonly scratch: Buffer;
  /** Counts one kept connection more or less. */
  parked(by: 1 | -1): void;
  /** Called when the connection has closed; a plain one may be opened again. */
  over(conversation: Conversation): void;
}

type OnOutcome = (outcome: ProbeOutcome) => void;

/** The called side closes first; if it does not, this side closes after this many ms. */
const GRACE_MS = 500;
/**
 * How long a late answer is still read, and how long a close may take, ms: closing with unread bytes would send an RST.
 */
const LINGER_MS = 2_000;
const NOTHING: Buffer = Buffer.alloc(0);

/**
 * `awaiting`: an answer is due. `settled`: the outcome is reported, the peer has yet to close. `parked`: kept for the
 * next question. `left`: this side has closed.
 */
type Stage = 'awaiting' | 'settled' | 'parked' | 'left';

/** A connection and the questions sent over it, one at a time. A plain one may be opened again once it has closed. */
export class Conversation extends Alarm {
  readonly isTls: boolean;
  readonly #context: ConversationContext;
  #socket: Socket | null = null;
  #question: Question | null = null;
  #onOutcome: OnOutcome | null = null;
  #stage: Stage = 'left';
  /** True once the peer accepted: from then on an end without an answer is `closed`. */
  #isAccepted = false;
  #startedAt = 0;
  /** Null unless an answer is awaited. */
  #reader: AnswerReader | null = null;
  /** The received bytes of an answer in several pieces, with room for more. */
  #received = NOTHING;
  /** Total number of received bytes. */
  #size = 0;

  constructor(context: ConversationContext, isTls: boolean) {
    super();
    this.#context = context;
    this.isTls = isTls;
  }

  /** Connects and sends the question. Throws for an impossible address; the conversation cannot be used again then. */
  open(question: Question, onOutcome: OnOutcome): void {
    this.#isAccepted = false;
    this.#begin(question, onOutcome);
    const { host, port } = question.endpoint;
    if (this.isTls) {
      const { connectSecurely, dialect } = this.#context;
      this.#socket = this.#listenTo(connectSecurely(question.endpoint, dialect.alpn), 'secureConnect');
      return;
    }
    this.#socket ??= this.#listenTo(
      plainSocket(this.#context.scratch, (bytes) => this.#onBytes(bytes)),
      'connect',
    );
    this.#socket.connect({ host, port, autoSelectFamily: false });
  }

  /** Sends another question over a parked connection. */
  ask(question: Question, onOutcome: OnOutcome): void {
    this.#unpark();
    this.#begin(question, onOutcome);
    this.#socket?.write(question.text, 'latin1');
  }

  /** Ends it in any stage; an open question settles as `closed`. */
  close(): void {
    this.#unpark();
    this.#settle({ kind: 'closed', text: 'the registry is closing' });
    this.#socket?.destroy();
  }

  /** Stops lingering, as another connection needs the place. */
  cut(): void {
    this.#context.alarms.clear(this);
    this.#socket?.destroy();
  }

  /** Discards a connection that could not be opened. */
  abandon(): void {
    this.#context.alarms.clear(this);
    this.#onOutcome = null;
    this.#socket
      ?.removeAllListeners()
      .on('error', () => {})
      .destroy();
  }

  override ring(): void {
    if (this.#stage === 'awaiting') this.#onTimeout();
    else if (this.#stage === 'settled') this.#leave();
    else this.#socket?.destroy();
  }

  #begin(question: Question, onOutcome: OnOutcome): void {
    this.#question = question;
    this.#onOutcome = onOutcome;
    this.#stage = 'awaiting';
    this.#reader = this.#context.dialect.reader(question.nonce);
    this.#size = 0;
    this.#startedAt = this.#context.time.now();
    this.#context.alarms.set(this, question.timeoutMs);
  }

  #listenTo(socket: Socket, ready: 'connect' | 'secureConnect'): Socket {
    socket.on('connect', () => (this.#isAccepted = true));
    socket.on(ready, () => socket.write(this.#question?.text ?? '', 'latin1'));
    if (this.isTls) socket.on('data', (bytes: Buffer) => this.#onBytes(bytes));
    socket.on('end', () => {
      this.#onEnd();
      socket.destroy(); // all bytes are read, so this sends a FIN and not an RST
    });
    socket.on('error', (error) => this.#onError(error));
    socket.on('close', () => this.#onClose());
    return socket;
  }

  #onBytes(bytes: Buffer): void {
    const { maxBytes } = this.#context.dialect;
    this.#size += bytes.length;
    if (this.#size > maxBytes) {
      this.#onAnswer({ nonsense: `answers with more than ${maxBytes} bytes` });
      this.#socket?.destroy();
    } else if (this.#stage === 'awaiting') {
      this.#onPart(bytes);
    } else if (this.#stage === 'parked') {
      this.#unpark(); // a peer that sends unrequested bytes is not used again
      this.#leave();
    }
  }

  #onPart(bytes: Buffer): void {
    const isFirst = this.#size === bytes.length;
    const answer = this.#reader?.read(isFirst ? bytes : this.#keep(bytes), false) ?? null;
    if (answer !== null) this.#onAnswer(answer);
    else if (isFirst) this.#keep(bytes);
  }

  /** Appends the bytes and returns all of them. The buffer grows to twice the size, so little is copied again. */
  #keep(bytes: Buffer): Buffer {
    const from = this.#size - bytes.length;
    if (this.#size > this.#received.length) {
      const roomier = Buffer.allocUnsafe(Math.min(2 * this.#size, this.#context.dialect.maxBytes));
      roomier.set(this.#received.subarray(0, from));
      this.#received = roomier;
    }
    this.#received.set(bytes, from);
    return this.#received.subarray(0, this.#size);
  }

  #onAnswer(answer: Answer): void {
    if (this.#stage !== 'awaiting') return;
    const isAnswered = !('nonsense' in answer);
    this.#settle(
      isAnswered ? { kind: 'answered', ...answer } : { kind: 'failed', text: this.#addressed(answer.nonsense) },
    );
    if (isAnswered && this.#question?.keeps === true) this.#park();
    else this.#linger(GRACE_MS);
  }

  /** The peer closed its side. */
  #onEnd(): void {
    if (this.#stage !== 'awaiting') return;
    const answer = this.#reader?.read(this.#received.subarray(0, this.#size), true) ?? null;
    if (answer === null)
      this.#settle({ kind: 'closed', text: this.#addressed('accepts and closes without an answer') });
    else this.#onAnswer(answer);
  }

  #onError(error: Error & { readonly code?: string }): void {
    this.#settle({ kind: this.#kindOf(error.code ?? ''), text: this.#addressed(error.message) });
  }

  /** A dying process resets connections that it accepted and did not read: that is an end without an answer, too. */
  #kindOf(code: string): 'refused' | 'closed' | 'failed' | 'unable' {
    if (LOCAL_LIMITS.has(code)) return 'unable';
    if (!this.#isAccepted) return code === 'ECONNREFUSED' ? 'refused' : 'failed';
    return ENDINGS.has(code) ? 'closed' : 'failed';
  }

  #onTimeout(): void {
    const missing = this.#isAccepted ? 'no answer' : 'no connection';
    this.#settle({ kind: 'failed', text: this.#addressed(`${missing} within ${this.#question?.timeoutMs} ms`) });
    if (this.#isAccepted) this.#linger(LINGER_MS);
    else this.#socket?.destroy();
  }

  #onClose(): void {
    this.#onEnd();
    this.#unpark();
    this.#context.alarms.clear(this);
    this.#context.lingering.delete(this);
    this.#stage = 'left';
    this.#question = null;
    this.#context.over(this);
  }

  /** Closes from this side because the peer did not close first, and waits for its FIN. */
  #leave(): void {
    this.#stage = 'left';
    this.#socket?.end();
    this.#linger(LINGER_MS);
  }

  /** The exchange is over and the peer has yet to close: waits up to `ms`, while there is a place. */
  #linger(ms: number): void {
    this.#context.alarms.set(this, ms);
    this.#context.lingering.add(this);
  }

  #park(): void {
    const slot = this.#question?.slot;
    if (slot === null || slot === undefined) return;
    this.#stage = 'parked';
    slot.kept = this;
    this.#context.parked(1);
  }

  #unpark(): void {
    if (this.#stage !== 'parked') return;
    this.#stage = 'settled';
    const slot = this.#question?.slot;
    if (slot?.kept === this) slot.kept = null;
    this.#context.parked(-1);
  }

  #settle(outcome: WithoutMs<ProbeOutcome>): void {
    if (this.#stage !== 'awaiting') return;
    this.#stage = 'settled';
    this.#context.alarms.clear(this);
    // free the memory: thousands of connections may be parked
    this.#reader = null;
    this.#received = NOTHING;
    const onOutcome = this.#onOutcome;
    this.#onOutcome = null;
    onOutcome?.({ ...outcome, ms: this.#context.time.now() - this.#startedAt });
  }

  /** Adds the address, which Node's own errors carry only in part. */
  #addressed(text: string): string {
    const endpoint = this.#question?.endpoint;
    return endpoint === undefined || text.includes(`:${endpoint.port}`) ? text : `${text} (${addressOf(endpoint)})`;
  }
}

type WithoutMs<Outcome> = Outcome extends unknown ? Omit<Outcome, 'ms'> : never;

const ENDINGS: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);
/** No file descriptor or memory left: this machine could not send the call. */
const LOCAL_LIMITS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/** A socket that reads without copying and without the stream machinery. */
function plainSocket(buffer: Buffer, onBytes: (bytes: Buffer) => void): Socket {
  const callback = (length: number): boolean => {
    onBytes(buffer.subarray(0, length));
    return true;
  };
  const options: SocketConstructorOpts & ConnectOpts = { allowHalfOpen: true, onread: { buffer, callback } };
  return new Socket(options);
}
