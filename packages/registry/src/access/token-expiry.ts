import type { EndingToken, Log } from '@rollcall/core';
import { spanText } from '../runtime/span-text.js';
import { validityOf } from './tokens.js';
import type { TokenRecord } from './tokens.js';

const DAY_MS = 86_400_000;
/** Time before the expiry of a token at which the log warns, as for a certificate: enough to distribute new ones. */
const WARN_BEFORE_MS = 14 * DAY_MS;
/** Maximum number of tokens that the warning lists. */
const MAX_NAMED = 10;

/** Warns of tokens that expire soon: once a day, and when the set of them changes. */
export class TokenExpiry {
  readonly #log: Log;
  readonly #path: string;
  #records: readonly TokenRecord[] = [];
  #lastLogged = '';
  #againAt = -Infinity;

  constructor({ log, path }: { readonly log: Log; readonly path: string }) {
    this.#log = log;
    this.#path = path;
  }

  /** Call it as often as you like. `wall`: wall clock, ms since 1970. */
  follow(records: readonly TokenRecord[], wall: number): void {
    const isDue = wall >= this.#againAt;
    if (!isDue && records === this.#records) return;
    this.#records = records;
    const soon = endingSoon(records, wall);
    const ids = soon.map(({ id }) => id).join(' ');
    if (isDue) this.#againAt = wall + DAY_MS;
    else if (ids === this.#lastLogged) return;
    this.#lastLogged = ids;
    if (soon.length > 0) this.#log.warn(textOf(soon, wall, this.#path));
  }
}

/** The valid tokens that expire within two weeks, the first to expire first. */
function endingSoon(records: readonly TokenRecord[], wall: number): readonly TokenRecord[] {
  const isSoon = (record: TokenRecord): boolean =>
    endOf(record) - wall <= WARN_BEFORE_MS && validityOf(record, wall) === 'valid';
  return records.filter(isSoon).toSorted((one, other) => endOf(one) - endOf(other));
}

/** The first ten of these tokens, without private fields, for the status that operators read. */
export function endingTokens(records: readonly TokenRecord[], wall: number): readonly EndingToken[] {
  const named = endingSoon(records, wall).slice(0, MAX_NAMED);
  return named.map((record) => ({
    id: record.id,
    role: record.role,
    services: record.services,
    expiresAt: endOf(record),
  }));
}

const endOf = ({ expiresAt }: TokenRecord): number => expiresAt ?? Infinity;

function textOf(soon: readonly TokenRecord[], wall: number, path: string): string {
  const named = soon.slice(0, MAX_NAMED).map((record) => {
    const left = spanText(endOf(record) - wall);
    return `${record.id} (${[record.role, ...record.services].join(' ')}) in ${left}`;
  });
  const more = soon.length > MAX_NAMED ? `, and ${soon.length - MAX_NAMED} more` : '';
  return `${soon.length === 1 ? 'A token expires' : `${soon.length} tokens expire`} soon: ${named.join(', ')}${more}. Create new ones and distribute them before then: rollcall token create --tokens ${path}.`;
}
