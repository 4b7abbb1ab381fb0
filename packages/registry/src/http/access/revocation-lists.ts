import { createSecureContext } from 'node:tls';

/** Revocation lists and their validity. */
export interface RevocationLists {
  /** One PEM list each, as Node expects them. */
  readonly texts: readonly string[];
  readonly terms: readonly ListTerm[];
}

/** The validity of a list, wall clock, ms since 1970; Infinity: without an end. */
export interface ListTerm {
  readonly from: number;
  readonly until: number;
}

/** Used without revocation lists. */
export const NO_LISTS: RevocationLists = { texts: [], terms: [] };

const ONE_LIST = /-----BEGIN X509 CRL-----([^-]*)-----END X509 CRL-----/g;

/** Parses the lists of a file. Throws if there is none, or Node cannot use one. */
export function listsOf(text = ''): RevocationLists {
  const found = [...text.matchAll(ONE_LIST)];
  if (found.length === 0) throw new Error('no revocation list (-----BEGIN X509 CRL-----) is in it');
  const texts = found.map(([whole]) => whole);
  createSecureContext({ crl: texts });
  return { texts, terms: found.map(([, base64 = '']) => termOf(Buffer.from(base64, 'base64'))) };
}

// ---- DER, as far as RFC 5280, 5.1 needs it: Node has no API to read lists -------------------------------------------

const [INTEGER, UTC_TIME, GENERALIZED_TIME, SEQUENCE] = [0x02, 0x17, 0x18, 0x30];

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  readonly rest: Buffer;
}

function termOf(der: Buffer): ListTerm {
  const list = inside(inside(der));
  // version 1 omits the version
  const signature = list[0] === INTEGER ? elementOf(list).rest : list;
  const issuer = elementOf(signature).rest;
  const made = elementOf(elementOf(issuer).rest);
  const next = made.rest[0] ?? 0;
  const hasEnd = next === UTC_TIME || next === GENERALIZED_TIME;
  return { from: timeOf(made), until: hasEnd ? timeOf(elementOf(made.rest)) : Infinity };
}

function inside(bytes: Buffer): Buffer {
  const { tag, content } = elementOf(bytes);
  if (tag !== SEQUENCE) throw new Error('a revocation list in it cannot be read');
  return content;
}

function elementOf(bytes: Buffer): Element {
  const [tag = 0, first = 0] = bytes;
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  const begin = 2 + lengthBytes;
  if (lengthBytes > 4 || bytes.length < begin) throw new Error('a revocation list in it cannot be read');
  const length = lengthBytes === 0 ? first : bytes.readUIntBE(2, lengthBytes);
  return { tag, content: bytes.subarray(begin, begin + length), rest: bytes.subarray(begin + length) };
}

/** `YYMMDDhhmmssZ` (of 1950 to 2049) and `YYYYMMDDhhmmssZ`. */
const TIME = /^(\d{2,4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;

function timeOf({ tag, content }: Element): number {
  const [, year = '', month, day, hours, minutes, seconds] = TIME.exec(content.toString('latin1')) ?? [];
  const century = tag === GENERALIZED_TIME ? '' : Number(year) < 50 ? '20' : '19';
  // eslint-disable-next-line no-restricted-globals -- it reads no clock
  const at = Date.parse(`${century}${year}-${month}-${day}T${hours}:${minutes}:${seconds}Z`);
  if (Number.isNaN(at)) throw new Error('a revocation list in it has a date that cannot be read');
  return at;
}
