import { messageOf } from '@rollcall/core';
import type { Time, TlsTerms } from '@rollcall/core';
import { Alarms } from './alarms.js';
import type { ProbeOutcome } from './caller.js';
import { Conversation } from './conversation.js';
import type { House, Question } from './conversation.js';
import type { Dialect } from './dialect.js';
import { Lingering } from './lingering.js';
import { secureWay } from './tls.js';
import type { ConnectSecurely } from './tls.js';

export interface ExchangeOptions {
  readonly time: Time;
  /** At most so many connections wait for their next call; beyond it every call opens its own. Default 10,000. */
  readonly maxKept?: number;
  /** Places for connections whose call is over, which several callers may share. Default: 500, for a caller alone in a test. */
  readonly lingering?: Lingering;
  /** For endpoints over TLS: the terms, or a way on such terms that several share. Default: the certificates that Node trusts. */
  readonly tls?: TlsTerms | ConnectSecurely;
}

const MAX_KEPT = 10_000;
const MAX_LINGERING = 500;
/** A socket that has closed is opened again: to make a new one costs a third of the call. */
const MAX_SPARE = 256;

/** One question, one answer, on a connection of its own unless one is kept: what callers over plain TCP have in common. */
export class Exchanges {
  readonly #house: House;
  readonly #maxKept: number;
  readonly #spare: Conversation[] = [];
  readonly #open = new Set<Conversation>();
  #kept = 0;

  constructor({ time, maxKept = MAX_KEPT, lingering, tls }: ExchangeOptions, dialect: Dialect) {
    this.#maxKept = maxKept;
    this.#house = {
      time,
      dialect,
      alarms: new Alarms(time),
      lingering: lingering ?? new Lingering(MAX_LINGERING),
      connectSecurely: typeof tls === 'function' ? tls : secureWay(tls),
      scratch: Buffer.allocUnsafe(dialect.maxBytes + 1),
      parked: (by) => (this.#kept += by),
      over: (conversation) => this.#over(conversation),
    };
  }

  /** May one more connection be kept? */
  get hasRoom(): boolean {
    return this.#kept < this.#maxKept;
  }

  /** Never rejects, and settles within `timeoutMs`. The connection may end a little later. */
  ask(question: Question): Promise<ProbeOutcome> {
    return new Promise((resolve) => {
      const kept = question.berth?.kept;
      if (!(kept instanceof Conversation)) return this.#askAfresh(question, resolve);
      // that it broke says nothing of the service: it may have been idle for too long for somebody on the way
      kept.ask(question, (outcome) => {
        if (outcome.kind === 'closed' && this.#open.has(kept)) this.#askAfresh(question, resolve);
        else resolve(outcome);
      });
    });
  }

  /** Breaks off all of them. May be called twice. */
  close(): void {
    const open = [...this.#open];
    this.#open.clear();
    for (const conversation of open) conversation.close();
  }

  #askAfresh(question: Question, resolve: (outcome: ProbeOutcome) => void): void {
    const { tls } = question.endpoint;
    const spare = tls ? undefined : this.#spare.pop();
    const conversation = spare ?? new Conversation(this.#house, tls);
    this.#open.add(conversation);
    try {
      conversation.open(question, resolve);
    } catch (error) {
      this.#open.delete(conversation);
      conversation.abandon();
      resolve({ kind: 'failed', text: messageOf(error), ms: 0 });
    }
  }

  #over(conversation: Conversation): void {
    this.#open.delete(conversation);
    if (!conversation.isTls && this.#spare.length < MAX_SPARE) this.#spare.push(conversation);
  }
}
