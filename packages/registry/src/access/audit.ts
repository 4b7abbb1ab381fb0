import type { Log, Time } from '@rollcall/core';
import { Allowances, sourceOf } from '../instances/quotas.js';
import { isCertificateId } from './permissions.js';
import type { Standing } from './permissions.js';
import { withoutTokens } from './tokens.js';

/**
 * Failed authentications allowed per source: this many at once, and this many a minute after that; further ones are
 * answered with 429.
 */
const MAX_FAILURES = 30;
/**
 * Log lines about refusals: this many at once, and this many a minute after that, so that a flood of requests does not
 * flood the log.
 */
const MAX_LINES = 60;

/** An action or attempt, with its actor and origin. */
export interface AuditEntry {
  /** The actor as text: `service token 1f…`, `an instance's secret`. */
  readonly who: string;
  /** The source address. */
  readonly from: string;
  /** Method and path. */
  readonly what: string;
  /** The subject, and the given reason; may be empty. */
  readonly about: string;
  readonly status: number | 'closed';
}

/** The actor as text without secrets. */
export function actorText(standing: Standing): string {
  if ('grant' in standing) {
    const { id, role } = standing.grant;
    return `${role} ${isCertificateId(id) ? 'certificate' : 'token'} ${id}`;
  }
  if ('id' in standing) return `${standing.kind === 'untrusted' ? 'untrusted' : 'unknown'} certificate ${standing.id}`;
  return standing.kind === 'none' ? 'anonymous' : 'an unknown token';
}

/**
 * Logs actions and refusals. Input of clients is made printable and short. It keeps an allowance of failures per
 * source: a source that has used it up and fails again has to wait, while requests with a good token from the same
 * address pass.
 */
export class Audit {
  readonly #ports: { readonly log: Log; readonly time: Time };
  readonly #failures = new Allowances(MAX_FAILURES);
  readonly #lines = new Allowances(MAX_LINES);
  #suppressed = 0;

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#ports = ports;
  }

  /**
   * Counts a failed authentication of an address. Returns 0 if it may be answered normally, else the time until the
   * next one may be, ms.
   */
  failed(address: string): number {
    return this.#failures.take(sourceOf(address), this.#ports.time.now());
  }

  /** Logs an action. */
  acted(entry: AuditEntry): void {
    this.#ports.log.info(`Access: ${textOf(entry)}`);
  }

  /** Counts a refusal without a log line. */
  slowed(): void {
    this.#suppressed += 1;
  }

  /** Logs or counts a refusal. */
  refused(entry: AuditEntry): void {
    if (this.#lines.take('', this.#ports.time.now()) > 0) {
      this.#suppressed += 1;
      return;
    }
    const others = this.#suppressed === 0 ? '' : ` (${this.#suppressed} others were refused since the last line)`;
    this.#suppressed = 0;
    this.#ports.log.warn(`Access refused: ${textOf(entry)}${others}`);
  }
}

function textOf({ who, from, what, about, status }: AuditEntry): string {
  return `${who} from ${from}: ${printable(what)}${about === '' ? '' : ` ${printable(about)}`} → ${status}`;
}

const MAX_CHARACTERS = 300;

function printable(text: string): string {
  return withoutTokens(text)
    .slice(0, MAX_CHARACTERS)
    .replaceAll(/[^\x20-\x7e…]/g, '?');
}
