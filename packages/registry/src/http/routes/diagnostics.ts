import { isRecord, NAME_PATTERN } from '@rollcall/core';
import type { RefusedAnswer, Time } from '@rollcall/core';
import type { preSerializationHookHandler } from 'fastify';

import { peerOf } from '../exchange/request.js';

/** Entries kept; the oldest is dropped first. */
const KEPT = 50;
const KEPT_MS = 600_000;
const MAX_CHARACTERS = 300;

interface Kept extends Omit<RefusedAnswer, 'agoMs'> {
  readonly at: number;
}

/** Recently refused registrations. A refused service is not in the list of services; this list shows it. */
export class Refused {
  readonly #time: Pick<Time, 'now'>;
  /** By place and reason, in the order of their last time. */
  readonly #kept = new Map<string, Kept>();

  constructor(time: Pick<Time, 'now'>) {
    this.#time = time;
  }

  /** A hook of the registration route that reads its response without changing it. */
  readonly hook: preSerializationHookHandler = (request, reply, payload, done) => {
    if (reply.statusCode >= 400 && isRecord(payload))
      this.note(payload, { from: peerOf(request).address, service: serviceIn(request.body) });
    done(null, payload);
  };

  note(
    { code, detail, fix }: Readonly<Record<string, unknown>>,
    { from, service }: Pick<RefusedAnswer, 'from' | 'service'>,
  ): void {
    const key = [code, from, service].join(' ');
    const times = (this.#kept.get(key)?.times ?? 0) + 1;
    this.#kept.delete(key);
    const texts = { code: shortened(code), detail: shortened(detail), fix: shortened(fix) };
    this.#kept.set(key, { ...texts, from, service, times, at: this.#time.now() });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(oldest);
    }
  }

  answer(): readonly RefusedAnswer[] {
    const now = this.#time.now();
    const recent = [...this.#kept.values()].filter(({ at }) => now - at <= KEPT_MS);
    return recent.toReversed().map(({ at, ...rest }) => ({ ...rest, agoMs: Math.round(now - at) }));
  }
}

/**
 * The service of a registration that was parsed but not validated; null for an invalid name, which may be a secret in
 * the wrong field.
 */
function serviceIn(body: unknown): string | null {
  const service = isRecord(body) ? body['service'] : null;
  return typeof service === 'string' && NAME_PATTERN.test(service) ? service : null;
}

const shortened = (text: unknown): string => (typeof text === 'string' ? text.slice(0, MAX_CHARACTERS) : '');
