import type { Role } from '@rollcall/core';
import { CERTIFICATE_ID, SERVICE_PATTERN } from './permissions.js';
import type { BadCertificate, Grant, Standing } from './permissions.js';

/** The rights of a certificate that was not made for Rollcall, by one of its subject alternative names. */
export interface CertificateRule {
  /**
   * `DNS:orders.prod.internal`, `DNS:*.orders.prod.internal` (any one label), or exactly `URI:spiffe://prod/orders`.
   */
  readonly san: string;
  readonly role: Role;
  /** The services of a `service`, as `SERVICE_PATTERN`. Omitted for other roles. */
  readonly services?: readonly string[] | undefined;
}

/** The fields of Node's `X509Certificate` that are used. */
export interface ReadCertificate {
  /** SHA-256, as `AB:CD:…`. */
  readonly fingerprint256: string;
  readonly subjectAltName: string | undefined;
  readonly validTo: string;
}

/** A client certificate signed by a configured CA. */
export interface ClientCertificate {
  /** `cert:` and the first 16 hex digits of its fingerprint. */
  readonly id: string;
  /** Wall clock, ms since 1970. */
  readonly expiresAt: number;
  /** Its rights until it expires. */
  readonly worth: Extract<Standing, { readonly kind: 'nameless' | 'valid' }>;
}

export const SAN_PATTERN: RegExp = /^(?:DNS:(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|URI:[^\s*"]+)$/;
export const SAN_PATTERN_TEXT =
  'DNS:<name>, DNS:*.<name> or URI:<the whole URI>, as the certificate has it among its subject alternative names';

const ID_DIGITS = 16;

/** The rights of a verified certificate. */
export function clientCertificate(read: ReadCertificate, rules: readonly CertificateRule[]): ClientCertificate {
  const id = certificateIdOf(read);
  return { id, expiresAt: expiryOf(read), worth: validityOf(id, sansOf(read.subjectAltName), rules) };
}

export function certificateIdOf({ fingerprint256 }: Pick<ReadCertificate, 'fingerprint256'>): string {
  return CERTIFICATE_ID + fingerprint256.replaceAll(':', '').slice(0, ID_DIGITS).toLowerCase();
}

/** Expiry of a certificate, ms since 1970; an unreadable date counts as expired. */
export function expiryOf({ validTo }: Pick<ReadCertificate, 'validTo'>): number {
  // eslint-disable-next-line no-restricted-globals -- it reads no clock
  const at = Date.parse(validTo);
  return Number.isFinite(at) ? at : -Infinity;
}

/** An entry of Node's list: `DNS:a.example`, `URI:"with \\u002c, or quotes"`; then a comma and a space, or the end. */
const ONE_SAN = /([A-Za-z0-9 ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;

/**
 * Parses the subject alternative names in Node's text, `DNS:a, URI:b`. Node writes a name with a comma or a quote as a
 * JSON string, so that one name cannot look like two (CVE-2021-44532). A text in any other form yields no names.
 */
export function sansOf(text: string | undefined): readonly string[] {
  const sans: string[] = [];
  ONE_SAN.lastIndex = 0;
  let at = 0;
  for (let found = ONE_SAN.exec(text ?? ''); found !== null; found = ONE_SAN.exec(text ?? '')) {
    const [whole, kind = '', name = ''] = found;
    sans.push(`${kind}:${name}`);
    at += whole.length;
    if (at === text?.length) return sans;
  }
  return [];
}

const ROLLCALL_URI = /^URI:rollcall:(?:service:(.+)|(reader|operator))$/;

function validityOf(
  id: string,
  sans: readonly string[],
  rules: readonly CertificateRule[],
): ClientCertificate['worth'] {
  const services = new Set<string>();
  const roles = new Set<Role>();
  for (const san of sans) {
    const [, pattern, role] = ROLLCALL_URI.exec(san) ?? [];
    if (role === 'reader' || role === 'operator') roles.add(role);
    if (pattern !== undefined && SERVICE_PATTERN.test(pattern)) services.add(pattern);
  }
  for (const rule of rules) {
    if (!sans.some((san) => matchesSan(rule.san, san))) continue;
    if (rule.role === 'service') for (const service of rule.services ?? []) services.add(service);
    else roles.add(rule.role);
  }
  if (services.size > 0) roles.add('service');
  // roles with more rights include reading
  if (roles.size > 1) roles.delete('reader');
  const [role, other] = roles;
  if (role === undefined) return nameless(id, unnamedText(sans), UNNAMED_FIX);
  if (other !== undefined) return nameless(id, 'It is for a service and for an operator.', TWO_FIX);
  const grant: Grant = { id, role, services: role === 'service' ? [...services] : [] };
  return { kind: 'valid', grant };
}

function matchesSan(wanted: string, san: string): boolean {
  if (!wanted.startsWith('DNS:')) return wanted === san;
  const [name, given] = [wanted.toLowerCase(), san.toLowerCase()];
  if (!name.startsWith('dns:*.')) return name === given;
  const rest = name.slice('dns:*'.length);
  return given.endsWith(rest) && /^dns:[a-z0-9_-]+$/.test(given.slice(0, -rest.length));
}

function nameless(id: string, detail: string, fix: string): BadCertificate<'nameless'> {
  return {
    kind: 'nameless',
    id,
    detail: `Certificate ${id} is valid, but grants nothing on this registry. ${detail}`,
    fix,
  };
}

/** Quotes the names of a certificate, shortened and printable. */
function unnamedText(sans: readonly string[]): string {
  if (sans.length === 0) return 'It has no subject alternative names.';
  const shown = sans
    .slice(0, MAX_SHOWN)
    .map((san) => san.slice(0, MAX_SHOWN_CHARACTERS).replaceAll(/[^\x20-\x7e]/g, '?'));
  const more = sans.length > MAX_SHOWN ? ` and ${sans.length - MAX_SHOWN} more` : '';
  return `Its subject alternative names are ${shown.join(', ')}${more}.`;
}

const MAX_SHOWN = 8;
const MAX_SHOWN_CHARACTERS = 120;

const UNNAMED_FIX =
  'Add URI:rollcall:service:<name>, URI:rollcall:reader or URI:rollcall:operator to them when it is signed, or grant rights to ' +
  "one of them with the option tls.certificates: [{ san: 'DNS:orders.prod.internal', role: 'service', services: ['orders'] }].";
const TWO_FIX = 'Give the service and the operator separate certificates.';

/** A 401 for a certificate that OpenSSL did not verify (`code` is that of Node), or that has expired since. */
export function untrusted(id: string, code: string): BadCertificate<'untrusted'> {
  const [why, fix] = CAUSES[code] ?? [`it could not be verified (${code})`, RENEW_FIX];
  return { kind: 'untrusted', id, detail: `Certificate ${id} is not trusted: ${why}.`, fix };
}

/** If revocation lists are required, OpenSSL finds none for a self-signed certificate, and reports only that. */
export function errorCodeOf(
  { issuer, subject }: { readonly issuer: string; readonly subject: string },
  code: string,
): string {
  return code === 'UNABLE_TO_GET_CRL' && issuer === subject ? SELF_SIGNED : code;
}

const SELF_SIGNED = 'DEPTH_ZERO_SELF_SIGNED_CERT';

/** The code of Node for an expired certificate. */
export const EXPIRED = 'CERT_HAS_EXPIRED';

const RENEW_FIX = 'Have a new one signed by a CA in the caFile of the registry.';
const UNSIGNED = [
  'no CA of this registry has signed it',
  `${RENEW_FIX} Send the intermediate certificates up to the CA, too.`,
] as const;
const NO_LIST = [
  'no CA of this registry has signed it, or the registry has no revocation list of that CA',
  `${RENEW_FIX} The list of each CA in the chain must be in crlFile.`,
] as const;
const OLD_LIST = [
  'the revocation list of its CA is out of date, so the registry cannot check whether it was revoked',
  'Put a new list into crlFile of the registry; it is read at once.',
] as const;

const CAUSES: Readonly<Record<string, readonly [why: string, fix: string]>> = {
  [EXPIRED]: ['it has expired', RENEW_FIX],
  CERT_NOT_YET_VALID: ['it is not valid yet', 'Wait, or set the clocks of this machine and of the registry.'],
  CERT_REVOKED: ['it was revoked', RENEW_FIX],
  [SELF_SIGNED]: ['it is self-signed', RENEW_FIX],
  SELF_SIGNED_CERT_IN_CHAIN: UNSIGNED,
  UNABLE_TO_GET_ISSUER_CERT: UNSIGNED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNSIGNED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNSIGNED,
  CERT_SIGNATURE_FAILURE: UNSIGNED,
  INVALID_PURPOSE: ['it is not for clients', 'Have one signed with the extended key usage clientAuth, or with none.'],
  UNABLE_TO_GET_CRL: NO_LIST,
  CRL_HAS_EXPIRED: OLD_LIST,
  CRL_NOT_YET_VALID: OLD_LIST,
};
