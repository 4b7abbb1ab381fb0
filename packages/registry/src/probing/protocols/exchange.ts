import { messageOf } from '@rollcall/core';
import type { Time, TlsTerms } from '@rollcall/core';
import { Alarms } from './alarms.js';
import type { ProbeOutcome } from './caller.js';
import { Conversation } from './conversation.js';
import type { ConversationContext, Question } from './conversation.js';
import type { Dialect } from './dialect.js';
import { Lingering } from './lingering.js';
import { secureConnector } from './tls.js';
import type { ConnectSecurely } from './tls.js';

export interface ExchangeOptions {
  readonly time: Time;
  /** Maximum number of connections kept for their next call; beyond it every call opens its own. Default 10,000. */
  readonly maxKept?: number;
  /** Places for connections whose call is over; several callers may share them. Default: 500 places of its own. */
  readonly lingering?: Lingering;
  /**
   * For endpoints over TLS: the terms, or a connector that several callers share. Default: the CAs that Node trusts.
   */
  readonly tls?: TlsTerms | ConnectSecurely;
}

const MAX_KEPT = 10_000;
const MAX_LINGERING = 500;
/** Maximum number of closed sockets kept for reuse: creating a socket costs a third of the call. */
const MAX_SPARE = 256;

/** One request and one response, on a connection of its own unless one is kept: what the callers over TCP share. */
export class Exchanges {
  readonly #context: ConversationContext;
  readonly #maxKept: number;
  readonly #spare: Conversation[] = [];
  readonly #open = new Set<Conversation>();
  #kept = 0;

  constructor({ time, maxKept = MAX_KEPT, lingering, tls }: ExchangeOptions, dialect: Dialect) {
    this.#maxKept = maxKept;
    this.#context = {
      time,
      dialect,
      alarms: new Alarms(time),
      lingering: lingering ?? new Lingering(MAX_LINGERING),
      connectSecurely: typeof tls === 'function' ? tls : secureConnector(tls),
      scratch: Buffer.allocUnsafe(dialect.maxBytes + 1),
      parked: (by) => (this.#kept += by),
      over: (conversation) => this.#over(conversation),
    };
  }

  /** True if one more connection may be kept. */
  get hasRoom(): boolean {
    return this.#kept < this.#maxKept;
  }

  /** Sends a question. Never rejects, and settles within `timeoutMs`. The connection may end a little later. */
  ask(question: Question): Promise<ProbeOutcome> {
    return new Promise((resolve) => {
      const kept = question.slot?.kept;
      if (!(kept instanceof Conversation)) return this.#askOnNewConnection(question, resolve);
      // a broken kept connection says nothing about the service: a middlebox may have closed it while idle
      kept.ask(question, (outcome) => {
        if (outcome.kind === 'closed' && this.#open.has(kept)) this.#askOnNewConnection(question, resolve);
        else resolve(outcome);
      });
    });
  }

  /** Closes all connections. Idempotent. */
  close(): void {
    const open = [...this.#open];
    this.#open.clear();
    for (const conversation of open) conversation.close();
  }

  #askOnNewConnection(question: Question, resolve: (outcome: ProbeOutcome) => void): void {
    const { tls } = question.endpoint;
    const spare = tls ? undefined : this.#spare.pop();
    const conversation = spare ?? new Conversation(this.#context, tls);
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
