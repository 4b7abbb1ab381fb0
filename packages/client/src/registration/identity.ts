import { createHmac, timingSafeEqual } from 'node:crypto';
import { CALL_KEY_TEXT, heartbeatCallMessage, nonceOf, randomWord, shortId, signedText, uuidV7 } from '@rollcall/core';
import type { HeartbeatAnswer, HeartbeatCall, Random, Time } from '@rollcall/core';
import type { Proof } from '../registry-client/registry-client.js';

export interface IdentityParts {
  readonly time: Time;
  readonly random: Random;
  readonly service: string;
  /**
   * Called when an authentic call with a new nonce has arrived. It must not throw, nor send a beat before it returns, since that would
   * delay the answer.
   */
  readonly called: (isUrgent: boolean) => void;
}

/** 22 characters encode 132 bits. */
const SECRET_LENGTH = 22;
/** How many nonces are remembered: a repeated call (one per endpoint, or a replay) has no effect. */
const MAX_NONCES = 16;

/** The identity of this process: its id, its proof to the registry, and its answers to Heartbeat-1. Generated once; no I/O. */
export class Identity {
  /** `<service>-<UUIDv7>` */
  readonly id: string;
  /** The short id for display. */
  readonly name: string;
  readonly #secret: string;
  readonly #callKey: Uint8Array;
  readonly #called: (isUrgent: boolean) => void;
  /** The remembered nonces, the latest first. */
  #nonces: readonly string[] = [];

  constructor({ time, random, service, called }: IdentityParts) {
    this.id = `${service}-${uuidV7(random, time.wall())}`;
    this.name = shortId({ id: this.id, service });
    this.#secret = randomWord(random, SECRET_LENGTH);
    this.#callKey = createHmac('sha256', this.#secret).update(CALL_KEY_TEXT).digest();
    this.#called = called;
  }

  /** The nonce of the latest authentic call; null before the first. */
  get nonce(): string | null {
    return this.#nonces[0] ?? null;
  }

  /** Returns a new object each time: the feed opens another line for another object. */
  proof(): Proof {
    return { id: this.id, secret: this.#secret };
  }

  /**
   * Answers Heartbeat-1, or an identity check without a nonce, for any input and always with our own id. Only an
   * authentic call that is not an `opinion` has an effect, so an unauthenticated sender can neither steer nor disturb
   * our heartbeats.
   */
  answer(question: unknown): HeartbeatAnswer {
    const call = heartbeatCallMessage.parse(question);
    if (call.ok && call.value.purpose !== 'opinion' && this.#isAuthentic(call.value)) this.#accept(call.value);
    return { instance: this.id, nonce: nonceOf(question) };
  }

  #isAuthentic(call: HeartbeatCall): boolean {
    if (call.instance !== this.id) return false;
    const expected = createHmac('sha256', this.#callKey).update(signedText(call)).digest();
    const received = Buffer.from(call.mac, 'hex');
    return received.length === expected.length && timingSafeEqual(received, expected);
  }

  #accept({ nonce, purpose }: HeartbeatCall): void {
    if (this.#nonces.includes(nonce)) return;
    this.#nonces = [nonce, ...this.#nonces.slice(0, MAX_NONCES - 1)];
    this.#called(purpose === 'urgent');
  }
}
