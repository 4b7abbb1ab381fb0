import { RollcallError } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { closed } from '../cluster/cluster-store.js';
import type { MemberAddress } from './address.js';
import { Malformed } from './codec.js';
import { MemberSession } from './member.js';
import type { CallFailure, MemberOptions, MemberStream, StreamListener } from './member.js';
import { authenticateRequest, METHODS, readToken } from './messages.js';

/** Timeout of one attempt at one member, ms. */
const TRY_MS = 700;
/** Time for which a member that did not answer at all is skipped while there is another, ms. */
const DEAD_MS = 3_000;

// of gRPC
const CANCELLED = 1;
const UNKNOWN = 2;
const DEADLINE_EXCEEDED = 4;
const RESOURCE_EXHAUSTED = 8;
const INTERNAL = 13;
const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;
/** Another member may answer otherwise. */
const ELSEWHERE = new Set([CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE]);

export interface ConnectionOptions {
  readonly members: readonly MemberAddress[];
  readonly time: Time;
  readonly user?: { readonly name: string; readonly password: string } | undefined;
  readonly connectSecurely?: MemberOptions['connectSecurely'];
}

/**
 * How often a call may be executed. A write that was sent is not sent again: its outcome is for the caller to find out.
 */
export type Repeat = 'safe' | 'unsent-only';

/**
 * The connection to the cluster: one session to one member at a time, which is destroyed, and the next member's opened,
 * when it fails, does not answer within 700 ms, or knows no leader.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  #at = 0;
  /** The time until which a member is skipped. */
  readonly #deadUntil: number[] = [];
  #session: MemberSession | null = null;
  #token = '';
  #renewal: Promise<CallFailure | null> | null = null;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /**
   * Sends one message, to each member at most once (a single one twice), and reads the answer. Rejects with
   * STORE_UNREACHABLE, STORE_REFUSED or CLOSED.
   */
  async call<Answer>(path: string, message: Uint8Array, parts: CallParts<Answer>): Promise<Answer> {
    const tries = Math.max(2, this.#options.members.length);
    let last: CallFailure | null = null;
    for (let n = 0; n < tries; n += 1) {
      const answer = await this.#authenticated(path, message);
      if (this.#isClosed) throw closed();
      const result = isFailure(answer) ? answer : this.#parse(answer, parts);
      if ('answer' in result) return result.answer;
      last = result;
      if (result.kind === 'status' && !ELSEWHERE.has(result.status)) throw refusalOf(result);
      if (result.kind !== 'unsent' && parts.repeat === 'unsent-only') break;
    }
    throw unreachable(last?.text ?? 'no member');
  }

  /** Opens a stream at the current member. Its end is for `rotate`. Throws CLOSED. */
  async stream(path: string, listener: StreamListener): Promise<OpenStream> {
    await this.#authenticate();
    if (this.#isClosed) throw closed();
    const session = this.#current();
    const stream = session.stream(path, this.#token, listener);
    return { ...stream, giveUp: () => this.#drop(session) };
  }

  /** Forgets the token, which the store did not take. */
  forgetToken(): void {
    this.#token = '';
  }

  close(): void {
    this.#isClosed = true;
    this.#session?.destroy();
    this.#session = null;
  }

  async #authenticated(path: string, message: Uint8Array): Promise<Buffer | CallFailure> {
    for (let n = 0; ; n += 1) {
      const failure = await this.#authenticate();
      if (failure !== null) return failure;
      const result = await this.#once(path, message);
      const isStale = isFailure(result) && result.status === UNAUTHENTICATED && this.#options.user !== undefined;
      if (!isStale || n > 0) return result;
      this.#token = '';
    }
  }

  /** Null: the token has been received, or none is needed. */
  async #authenticate(): Promise<CallFailure | null> {
    const { user } = this.#options;
    if (user === undefined || this.#token !== '') return null;
    this.#renewal ??= this.#renew(user);
    return this.#renewal;
  }

  async #renew(user: { readonly name: string; readonly password: string }): Promise<CallFailure | null> {
    const result = await this.#once(METHODS.authenticate, authenticateRequest(user.name, user.password));
    this.#renewal = null;
    // the call itself was not sent
    if (isFailure(result)) return result.kind === 'status' ? result : { ...result, kind: 'unsent' };
    this.#token = readTokenSafely(result);
    return this.#token === '' ? { kind: 'unsent', status: -1, text: 'the store gave no token' } : null;
  }

  async #once(path: string, message: Uint8Array): Promise<Buffer | CallFailure> {
    if (this.#isClosed) return { kind: 'unsent', status: -1, text: 'closed' };
    const session = this.#current();
    const result = await session.call(path, message, { token: this.#token, deadlineMs: TRY_MS });
    if (!isFailure(result)) return result;
    const isDead = result.isDead === true || result.kind === 'unsent';
    if (isDead && this.#session === session) this.#deadUntil[this.#at] = this.#options.time.now() + DEAD_MS;
    if (result.kind !== 'status' || ELSEWHERE.has(result.status)) this.#drop(session);
    return result;
  }

  #current(): MemberSession {
    if (this.#session === null || this.#session.isOver) {
      const { members, time, connectSecurely } = this.#options;
      const address = members[this.#at];
      if (address === undefined) throw new RollcallError('OPTION_INVALID', 'store: names no member.');
      this.#session = new MemberSession({ address, time, connectSecurely });
    }
    return this.#session;
  }

  /** Destroys this session and moves to the next member, unless that has already happened. */
  #drop(session: MemberSession): void {
    session.destroy();
    if (this.#session !== session) return;
    this.#session = null;
    this.#at = this.#next();
  }

  /** The next member in the order of the address that is not passed over; if all are, the next one. */
  #next(): number {
    const { members, time } = this.#options;
    const now = time.now();
    for (let n = 1; n < members.length; n += 1) {
      const at = (this.#at + n) % members.length;
      if ((this.#deadUntil[at] ?? 0) <= now) return at;
    }
    return (this.#at + 1) % members.length;
  }

  #parse<Answer>(bytes: Buffer, { read }: CallParts<Answer>): { readonly answer: Answer } | CallFailure {
    try {
      return { answer: read(bytes) };
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      if (this.#session !== null) this.#drop(this.#session);
      return { kind: 'broken', status: -1, text: `the answer cannot be read: ${error.message}` };
    }
  }
}

export interface CallParts<Answer> {
  readonly repeat: Repeat;
  /** May throw Malformed. */
  readonly read: (answer: Buffer) => Answer;
}

export interface OpenStream extends MemberStream {
  /** Destroys its session and goes to the next member. */
  giveUp(): void;
}

const isFailure = (result: Buffer | CallFailure): result is CallFailure => !Buffer.isBuffer(result);

function readTokenSafely(bytes: Buffer): string {
  try {
    return readToken(bytes);
  } catch (error) {
    if (error instanceof Malformed) return '';
    throw error;
  }
}

/** No member answers, as a RollcallError. */
export function unreachable(text: string): RollcallError {
  const message = `The shared store does not answer (${text}). It may have applied the request: repeat it unchanged.`;
  return new RollcallError('STORE_UNREACHABLE', message, { retryable: true });
}

/** A refusal that the store has forgotten the revision for. */
export const COMPACTED = /required revision has been compacted/;

const refusalOf = ({ text }: CallFailure): RollcallError =>
  new RollcallError('STORE_REFUSED', `The shared store refuses the request: ${text}.`);
