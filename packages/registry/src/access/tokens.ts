import { hash, timingSafeEqual } from 'node:crypto';
import { isRecord, randomWord, ROLES } from '@rollcall/core';
import type { Random, Result, Role } from '@rollcall/core';
import { SERVICE_PATTERN } from './permissions.js';
import type { Grant, Standing } from './permissions.js';

/** The record of an access token, without the token itself. All times are wall clock, ms since 1970. */
export interface TokenRecord extends Grant {
  /** A note for people; may be empty. */
  readonly note: string;
  readonly createdAt: number;
  /** Null: it does not expire. */
  readonly expiresAt: number | null;
  /** Null: it was not revoked. */
  readonly revokedAt: number | null;
  /** SHA-256 of the whole token, lower-case hex. Tokens are random, so a slow hash would add no protection. */
  readonly hash: string;
}

/** The properties of a new token. */
export interface TokenRequest {
  readonly role: Role;
  /** At least one for a `service`, none otherwise; each matches `SERVICE_PATTERN`. */
  readonly services: readonly string[];
  readonly note: string;
  readonly expiresAt: number | null;
}

/** `rct_`, ten digits of its id, and 258 random bits. Secret scanners recognise the prefix. */
const TOKEN = /^rct_([0-9a-f]{10})_[A-Za-z0-9_-]{43}$/;
const ID_BYTES = 5;
const SECRET_LETTERS = 43;
const VERSION = 1;
/** Maximum number of tokens in a file, more than any registry needs; a larger file is refused. */
export const MAX_TOKENS = 10_000;
/** Compared for unknown ids, so that the check takes as long as for known ones. */
const UNKNOWN_HASH = '0'.repeat(64);

/** True if this has the form of an access token, valid or not. Secrets of instances do not. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * Removes tokens from a text, as clients may send them in the wrong place: a token, or its beginning, is replaced by
 * its id.
 */
export function withoutTokens(text: string): string {
  return text.replaceAll(/(rct_[0-9a-f]{10}_)[A-Za-z0-9_-]+/g, '$1…');
}

/** Generates a token and its record. */
export function drawToken(
  random: Random,
  request: TokenRequest,
  wall: number,
): { readonly token: string; readonly record: TokenRecord } {
  const id = Buffer.from(random.bytes(ID_BYTES)).toString('hex');
  const token = `rct_${id}_${randomWord(random, SECRET_LETTERS)}`;
  return { token, record: { id, ...request, createdAt: wall, revokedAt: null, hash: hash('sha256', token) } };
}

/** All tokens of a registry. */
export class TokenBook {
  readonly records: readonly TokenRecord[];
  readonly #byId: ReadonlyMap<string, TokenRecord>;

  constructor(records: readonly TokenRecord[]) {
    this.records = records;
    this.#byId = new Map(records.map((record) => [record.id, record]));
  }

  /** Looks up a token at wall clock `wall`. Compares in constant time. */
  find(text: string | null, wall: number): Standing {
    if (text === null) return NONE;
    const id = TOKEN.exec(text)?.[1];
    const record = id === undefined ? undefined : this.#byId.get(id);
    const kept = Buffer.from(record?.hash ?? UNKNOWN_HASH);
    if (!timingSafeEqual(Buffer.from(hash('sha256', text)), kept) || record === undefined) return UNKNOWN;
    return { kind: validityOf(record, wall), grant: record };
  }

  /** True if the token of this id is valid. */
  isValid(id: string, wall: number): boolean {
    const record = this.#byId.get(id);
    return record !== undefined && validityOf(record, wall) === 'valid';
  }

  /** The time of the next expiry after `wall`; Infinity: none expires. */
  nextExpiryAfter(wall: number): number {
    const times = this.records.map(({ expiresAt }) => (expiresAt === null || expiresAt <= wall ? Infinity : expiresAt));
    return times.reduce((first, time) => Math.min(first, time), Infinity);
  }
}

const NONE: Standing = { kind: 'none' };
const UNKNOWN: Standing = { kind: 'unknown' };

/** Revoked takes precedence over expired. */
export function validityOf(
  record: Pick<TokenRecord, 'expiresAt' | 'revokedAt'>,
  wall: number,
): 'valid' | 'expired' | 'revoked' {
  if (record.revokedAt !== null) return 'revoked';
  return record.expiresAt !== null && wall >= record.expiresAt ? 'expired' : 'valid';
}

// ---- the file -------------------------------------------------------------------------------------------------------

/** Readable text, so that a token can be removed with an editor. */
export function printTokens(records: readonly TokenRecord[]): string {
  return `${JSON.stringify({ version: VERSION, tokens: records }, null, 2)}\n`;
}

/** The placeholder of the manifests in deploy/k8s. */
const PLACEHOLDER = /^\s*REPLACE\b/;

/** Parses the text of a file, or returns what is wrong with it, without content of the file. */
export function parseTokens(text: string): Result<readonly TokenRecord[], string> {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    if (PLACEHOLDER.test(text))
      return {
        ok: false,
        problem: `it holds a placeholder (REPLACE …), not what \`rollcall token create --tokens <file>\` wrote`,
      };
    return { ok: false, problem: 'it is not valid JSON' };
  }
  if (!isRecord(file) || !Array.isArray(file['tokens'])) return { ok: false, problem: 'it holds no list of tokens' };
  if (file['version'] !== VERSION) return { ok: false, problem: 'it was written by another version' };
  const tokens: readonly unknown[] = file['tokens'];
  if (tokens.length > MAX_TOKENS) return { ok: false, problem: `it holds more than ${MAX_TOKENS} tokens` };
  const records = tokens.filter((token) => isTokenRecord(token));
  if (records.length < tokens.length) {
    const wrong = tokens.findIndex((token) => !isTokenRecord(token));
    return { ok: false, problem: `its token number ${wrong + 1} is not valid` };
  }
  if (new Set(records.map(({ id }) => id)).size < records.length) {
    return { ok: false, problem: 'two of its tokens have the same id' };
  }
  return { ok: true, value: records };
}

function isTokenRecord(value: unknown): value is TokenRecord {
  if (!isRecord(value)) return false;
  const { id, role, services, note, createdAt, expiresAt, revokedAt } = value;
  if (typeof id !== 'string' || !/^[0-9a-f]{10}$/.test(id)) return false;
  if (typeof value['hash'] !== 'string' || !/^[0-9a-f]{64}$/.test(value['hash'])) return false;
  const known = ROLES.find((one) => one === role);
  if (known === undefined || !arePatterns(services) || services.length > 0 !== (known === 'service')) return false;
  return typeof note === 'string' && isTime(createdAt) && isTimeOrNull(expiresAt) && isTimeOrNull(revokedAt);
}

function arePatterns(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && SERVICE_PATTERN.test(item));
}

const isTime = (value: unknown): boolean => typeof value === 'number' && Number.isFinite(value);
const isTimeOrNull = (value: unknown): boolean => value === null || isTime(value);
