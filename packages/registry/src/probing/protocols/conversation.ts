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

/** One question. */
export interface Question {
  readonly endpoint: Endpoint;
  /** One byte each (latin1). */
  readonly text: string;
  readonly nonce: string;
  readonly timeoutMs: number;
  /** Where the connection may wait for the next question. */
  readonly berth: KeptSlot | null;
  /** Shall it be left there after the answer? */
  readonly keeps: boolean;
}

/** What all conversations of one caller share. */
export interface House {
  readonly time: Time;
  readonly dialect: Dialect;
  readonly alarms: Alarms;
  readonly lingering: Lingering;
  /** The peer must prove who it is. */
  readonly connectSecurely: ConnectSecurely;
  /** All plain sockets read into the same bytes: each is done with them before the next one reads. */
  readonly scratch: Buffer;
  /** One connection more, or less, is kept for its next call. */
  parked(by: 1 | -1): void;
  /** The connection has closed; a plain one may be opened again. */
  over(conversation: Conversation): void;
}

type Told = (outcome: ProbeOutcome) => void;

/** The called side closes first; one that does not is left after this. */
const GRACE_MS = 500;
/** A late answer is still taken in for so long, and so long a farewell may take: whoever closes on unread bytes sends an RST. */
const LINGER_MS = 2_000;
const NOTHING: Buffer = Buffer.alloc(0);

/** `asked`: an answer is awaited. `settled`: the outcome is told, the peer has yet to close. `parked`: kept. `left`: we have closed. */
type Stage = 'asked' | 'settled' | 'parked' | 'left';

/** A connection and what is asked over it, one question at a time. A plain one may be opened again once it has closed. */
export class Conversation extends Alarm {
  readonly isTls: boolean;
  readonly #house: House;
  #socket: Socket | null = null;
  #question: Question | null = null;
  #told: Told | null = null;
  #stage: Stage = 'left';
  /** The peer accepted: from here on an end without an answer is `closed`. */
  #isAccepted = false;
  #startedAt = 0;
  /** Null while no answer is awaited. */
  #reader: AnswerReader | null = null;
  /** What has come of an answer that comes in pieces, with room for more. */
  #received = NOTHING;
  /** All that has come. */
  #size = 0;

  constructor(house: House, isTls: boolean) {
    super();
    this.#house = house;
    this.isTls = isTls;
  }

  /** Connects, and asks. Throws for an address that cannot be; then it is of no more use. */
  open(question: Question, told: Told): void {
    this.#isAccepted = false;
    this.#begin(question, told);
    const { host, port } = question.endpoint;
    if (this.isTls) {
      const { connectSecurely, dialect } = this.#house;
      this.#socket = this.#listenTo(connectSecurely(question.endpoint, dialect.alpn), 'secureConnect');
      return;
    }
    this.#socket ??= this.#listenTo(
      plainSocket(this.#house.scratch, (bytes) => this.#onBytes(bytes)),
      'connect',
    );
    this.#socket.connect({ host, port, autoSelectFamily: false });
  }

  /** Asks again over a connection that is parked. */
  ask(question: Question, told: Told): void {
    this.#unpark();
    this.#begin(question, told);
    this.#socket?.write(question.text, 'latin1');
  }

  /** Ends it, whatever it is at. */
  close(): void {
    this.#unpark();
    this.#settle({ kind: 'closed', text: 'the registry is closing' });
    this.#socket?.destroy();
  }

  /** Others need its place: it lingers no longer. */
  cut(): void {
    this.#house.alarms.clear(this);
    this.#socket?.destroy();
  }

  /** It could not be opened: nothing of it is left. */
  abandon(): void {
    this.#house.alarms.clear(this);
    this.#told = null;
    this.#socket
      ?.removeAllListeners()
      .on('error', () => {})
      .destroy();
  }

  override ring(): void {
    if (this.#stage === 'asked') this.#onTimeout();
    else if (this.#stage === 'settled') this.#leave();
    else this.#socket?.destroy();
  }

  #begin(question: Question, told: Told): void {
    this.#question = question;
    this.#told = told;
    this.#stage = 'asked';
    this.#reader = this.#house.dialect.reader(question.nonce);
    this.#size = 0;
    this.#startedAt = this.#house.time.now();
    this.#house.alarms.set(this, question.timeoutMs);
  }

  #listenTo(socket: Socket, ready: 'connect' | 'secureConnect'): Socket {
    socket.on('connect', () => (this.#isAccepted = true));
    socket.on(ready, () => socket.write(this.#question?.text ?? '', 'latin1'));
    if (this.isTls) socket.on('data', (bytes: Buffer) => this.#onBytes(bytes));
    socket.on('end', () => {
      this.#onEnd();
      socket.destroy(); // everything is read, so this is a FIN and no RST
    });
    socket.on('error', (error) => this.#onError(error));
    socket.on('close', () => this.#onClose());
    return socket;
  }

  #onBytes(bytes: Buffer): void {
    const { maxBytes } = this.#house.dialect;
    this.#size += bytes.length;
    if (this.#size > maxBytes) {
      this.#onAnswer({ nonsense: `answers with more than ${maxBytes} bytes` });
      this.#socket?.destroy();
    } else if (this.#stage === 'asked') {
      this.#take(bytes);
    } else if (this.#stage === 'parked') {
      this.#unpark(); // whoever speaks unasked is not asked again
      this.#leave();
    }
  }

  #take(bytes: Buffer): void {
    const isFirst = this.#size === bytes.length;
    const answer = this.#reader?.read(isFirst ? bytes : this.#keep(bytes), false) ?? null;
    if (answer !== null) this.#onAnswer(answer);
    else if (isFirst) this.#keep(bytes);
  }

  /** Puts it behind what has come before, and returns all. Room is made for twice as much, so that little is copied again. */
  #keep(bytes: Buffer): Buffer {
    const from = this.#size - bytes.length;
    if (this.#size > this.#received.length) {
      const roomier = Buffer.allocUnsafe(Math.min(2 * this.#size, this.#house.dialect.maxBytes));
      roomier.set(this.#received.subarray(0, from));
      this.#received = roomier;
    }
    this.#received.set(bytes, from);
    return this.#received.subarray(0, this.#size);
  }

  #onAnswer(answer: Answer): void {
    if (this.#stage !== 'asked') return;
    const isAnswered = !('nonsense' in answer);
    this.#settle(
      isAnswered ? { kind: 'answered', ...answer } : { kind: 'failed', text: this.#placed(answer.nonsense) },
    );
    if (isAnswered && this.#question?.keeps === true) this.#park();
    else this.#linger(GRACE_MS);
  }

  /** The peer has closed its side. */
  #onEnd(): void {
    if (this.#stage !== 'asked') return;
    const answer = this.#reader?.read(this.#received.subarray(0, this.#size), true) ?? null;
    if (answer === null) this.#settle({ kind: 'closed', text: this.#placed('accepts and closes without an answer') });
    else this.#onAnswer(answer);
  }

  #onError(error: Error & { readonly code?: string }): void {
    this.#settle({ kind: this.#kindOf(error.code ?? ''), text: this.#placed(error.message) });
  }

  /** A process that dies resets what it had accepted and not yet read: that is an end without an answer, too. */
  #kindOf(code: string): 'refused' | 'closed' | 'failed' | 'unable' {
    if (OUR_OWN.has(code)) return 'unable';
    if (!this.#isAccepted) return code === 'ECONNREFUSED' ? 'refused' : 'failed';
    return ENDINGS.has(code) ? 'closed' : 'failed';
  }

  #onTimeout(): void {
    const missing = this.#isAccepted ? 'no answer' : 'no connection';
    this.#settle({ kind: 'failed', text: this.#placed(`${missing} within ${this.#question?.timeoutMs} ms`) });
    if (this.#isAccepted) this.#linger(LINGER_MS);
    else this.#socket?.destroy();
  }

  #onClose(): void {
    this.#onEnd();
    this.#unpark();
    this.#house.alarms.clear(this);
    this.#house.lingering.delete(this);
    this.#stage = 'left';
    this.#question = null;
    this.#house.over(this);
  }

  /** Whoever is asked closes first; if it does not, we do, and wait for its farewell. */
  #leave(): void {
    this.#stage = 'left';
    this.#socket?.end();
    this.#linger(LINGER_MS);
  }

  /** All is said, and the peer has yet to close: so long, while there is a place. */
  #linger(ms: number): void {
    this.#house.alarms.set(this, ms);
    this.#house.lingering.add(this);
  }

  #park(): void {
    const berth = this.#question?.berth;
    if (berth === null || berth === undefined) return;
    this.#stage = 'parked';
    berth.kept = this;
    this.#house.parked(1);
  }

  #unpark(): void {
    if (this.#stage !== 'parked') return;
    this.#stage = 'settled';
    const berth = this.#question?.berth;
    if (berth?.kept === this) berth.kept = null;
    this.#house.parked(-1);
  }

  #settle(outcome: WithoutMs<ProbeOutcome>): void {
    if (this.#stage !== 'asked') return;
    this.#stage = 'settled';
    this.#house.alarms.clear(this);
    // those that are parked may be thousands
    this.#reader = null;
    this.#received = NOTHING;
    const told = this.#told;
    this.#told = null;
    told?.({ ...outcome, ms: this.#house.time.now() - this.#startedAt });
  }

  /** With the address, which Node's own errors carry only in part. */
  #placed(text: string): string {
    const endpoint = this.#question?.endpoint;
    return endpoint === undefined || text.includes(`:${endpoint.port}`) ? text : `${text} (${addressOf(endpoint)})`;
  }
}

type WithoutMs<Outcome> = Outcome extends unknown ? Omit<Outcome, 'ms'> : never;

const ENDINGS: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);
/** No descriptor or no memory left: this machine could not ask. */
const OUR_OWN: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/** It reads without a copy, and without the machinery of streams. */
function plainSocket(buffer: Buffer, onBytes: (bytes: Buffer) => void): Socket {
  const callback = (length: number): boolean => {
    onBytes(buffer.subarray(0, length));
    return true;
  };
  const options: SocketConstructorOpts & ConnectOpts = { allowHalfOpen: true, onread: { buffer, callback } };
  return new Socket(options);
}
