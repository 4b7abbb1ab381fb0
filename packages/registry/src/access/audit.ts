import type { Log, Time } from '@rollcall/core';
import { Allowances, sourceOf } from '../instances/quotas.js';
import { isCertificateId } from './permissions.js';
import type { Standing } from './permissions.js';
import { withoutTokens } from './tokens.js';

/** Failed authentications of one source at once, and again as many a minute; more are answered 429. */
const MAX_FAILURES = 30;
/** Lines about refusals at once, and again as many a minute: a flood does not become one of the log. */
const MAX_LINES = 60;

/** Who did, or tried, what, and from where. */
export interface Deed {
  /** In words: `service token 1f…`, `an instance's secret`. */
  readonly who: string;
  /** The address it came from. */
  readonly from: string;
  /** Method and path. */
  readonly what: string;
  /** Whom it was about, and the reason that was given; may be empty. */
  readonly about: string;
  readonly status: number | 'closed';
}

/** Who asks, in words that are no secret. */
export function whoText(standing: Standing): string {
  if ('grant' in standing) {
    const { id, role } = standing.grant;
    return `${role} ${isCertificateId(id) ? 'certificate' : 'token'} ${id}`;
  }
  if ('id' in standing) return `${standing.kind === 'untrusted' ? 'untrusted' : 'unknown'} certificate ${standing.id}`;
  return standing.kind === 'none' ? 'nobody' : 'an unknown token';
}

/**
 * Says in the log who did what, and who was refused what. What comes from strangers is made printable and short. It keeps an
 * allowance of failures for each source: whoever has used it up and fails again is told to wait, and only he: whoever comes from the
 * same address with a good token passes.
 */
export class Audit {
  readonly #ports: { readonly log: Log; readonly time: Time };
  readonly #failures = new Allowances(MAX_FAILURES);
  readonly #lines = new Allowances(MAX_LINES);
  #suppressed = 0;

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#ports = ports;
  }

  /** An authentication from this address failed. 0: it may be answered as it is; else in how many ms the next one may be. */
  failed(address: string): number {
    return this.#failures.take(sourceOf(address), this.#ports.time.now());
  }

  /** Something was done. */
  acted(deed: Deed): void {
    this.#ports.log.info(`Access: ${textOf(deed)}`);
  }

  /** Something was refused of which nothing but its number is told. */
  slowed(): void {
    this.#suppressed += 1;
  }

  /** Something was refused: told, or counted. */
  refused(deed: Deed): void {
    if (this.#lines.take('', this.#ports.time.now()) > 0) {
      this.#suppressed += 1;
      return;
    }
    const others = this.#suppressed === 0 ? '' : ` (${this.#suppressed} others were refused since the last line)`;
    this.#suppressed = 0;
    this.#ports.log.warn(`Access refused: ${textOf(deed)}${others}`);
  }
}

function textOf({ who, from, what, about, status }: Deed): string {
  return `${who} from ${from}: ${printable(what)}${about === '' ? '' : ` ${printable(about)}`} → ${status}`;
}

const LONGEST = 300;

function printable(text: string): string {
  return withoutTokens(text)
    .slice(0, LONGEST)
    .replaceAll(/[^\x20-\x7e…]/g, '?');
}
