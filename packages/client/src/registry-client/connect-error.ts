import { answerText, messageOf, printableText } from '@rollcall/core';
import type { ReceivedAnswer } from '@rollcall/core';

/** The facts about the connection that failed. */
export interface ConnectErrorFacts {
  /** True for an https URL. */
  readonly isSecure: boolean;
  /** True if this URL has ever answered. */
  readonly wasReached: boolean;
  /** True if the client presented a certificate. */
  readonly isShown: boolean;
}

/** The registry is reachable but cannot be used, and a retry does not help: the message contains the reason and the fix. */
export class RegistryConnectError extends Error {}

/** Returns the `RegistryConnectError` that an error is or has as its cause; null for other errors, such as a refused connection. */
export function connectErrorIn(error: unknown): RegistryConnectError | null {
  if (error instanceof RegistryConnectError) return error;
  return error instanceof Error && error.cause instanceof RegistryConnectError ? error.cause : null;
}

/** The message if another program answers at the registry's address. */
export function notRegistryText(answer: ReceivedAnswer): string {
  return `the server there is not a registry (${answerText(answer)}). ${CHECK_ADDRESS}`;
}

const CHECK_ADDRESS = 'Check the address and its port, and whether a proxy answers in its place.';
/** The maximum number of bytes shown of an answer that is not HTTP. */
const MAX_BYTES = 60;

const CA_OPTION = 'the option registryTls.caFile, ROLLCALL_CA_FILE or --ca-file';
const CERT_OPTION =
  'the options registryTls.certFile and keyFile, ROLLCALL_CERT_FILE and ROLLCALL_KEY_FILE, or --cert-file and --key-file';

const UNKNOWN =
  'its certificate is signed by no CA that is trusted here. ' +
  `Give the certificate of the CA that signed it: ${CA_OPTION}.`;

/** Messages by the error codes of Node (those of OpenSSL's verification, X509_V_ERR_…). */
const CERTIFICATE_ERRORS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN,
  CERT_SIGNATURE_FAILURE: UNKNOWN,
  CERT_HAS_EXPIRED:
    'its certificate has expired, or that of the CA has. Replace it (its files may change while the registry runs), and check the clock of this machine.',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet. Check the clocks of both machines.',
  INVALID_PURPOSE: 'its certificate is not for a server. Sign one with extendedKeyUsage=serverAuth.',
};

/** Messages by the alert of the peer (RFC 8446, 6.2). */
const ALERTS: readonly (readonly [RegExp, string])[] = [
  [/alert certificate required/, `it asks for a client certificate, and none was shown. Give one: ${CERT_OPTION}.`],
  [/alert certificate expired/, `it reports that our certificate has expired. Replace it: ${CERT_OPTION}.`],
  [/alert certificate revoked/, `it reports that our certificate was revoked. Get another one: ${CERT_OPTION}.`],
  [/alert (unknown ca|bad certificate|certificate unknown|unsupported certificate)/, refusedText('')],
];

/** Codes of a connection that ended before an answer: those of Node and of undici. */
const CUT: ReadonlySet<string> = new Set(['ECONNRESET', 'UND_ERR_SOCKET']);

const OPENSSL_NOT_TLS = /wrong version number|packet length too long|record layer failure|http request/;

/**
 * The meaning of a connection error and what to do about it; null if the error itself is sufficient. A guess is made only if nothing else
 * explains the error, and is marked as a guess.
 */
export function troubleOf(error: unknown, facts: ConnectErrorFacts): RegistryConnectError | null {
  const text = facts.isSecure ? tlsErrorText(error, facts) : plaintextErrorText(error, facts);
  return text === null ? null : new RegistryConnectError(text, { cause: error });
}

function tlsErrorText(error: unknown, { wasReached, isShown }: ConnectErrorFacts): string | null {
  const [code, message] = [codeOf(error), messageOf(error)];
  const known = CERTIFICATE_ERRORS[code];
  if (known !== undefined) return known;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return nameText(error);
  const alert = ALERTS.find(([match]) => match.test(message));
  if (alert !== undefined) return alert[1];
  if (/alert handshake failure/.test(message)) {
    return isShown
      ? refusedText('')
      : `it refused the handshake. If it asks for a client certificate, give one: ${CERT_OPTION}.`;
  }
  if (OPENSSL_NOT_TLS.test(message))
    return 'it speaks no TLS. Write its URL as http://, or start the registry with TLS.';
  if (!CUT.has(code) || wasReached) return null;
  return isShown
    ? refusedText('It may reject our certificate. ')
    : `it closed the connection in the middle of the handshake. If it asks for a client certificate, give one: ${CERT_OPTION}.`;
}

function plaintextErrorText(error: unknown, { wasReached }: ConnectErrorFacts): string | null {
  const isAlert = codeOf(error).startsWith('HPE_') && rawOf(error)?.[0] === TLS_ALERT;
  if (isAlert) return 'it speaks TLS. Write its URL as https://.';
  const rawBytes = codeOf(error).startsWith('HPE_') ? rawOf(error) : null;
  if (rawBytes !== null && rawBytes.length > 0) {
    const start = printableText(Buffer.from(rawBytes.subarray(0, MAX_BYTES)).toString('latin1').trim());
    return `what answers there speaks no HTTP: it says "${start}". ${CHECK_ADDRESS}`;
  }
  if (!CUT.has(codeOf(error)) || wasReached) return null;
  return 'it closed the connection without an answer. If it speaks TLS, write its URL as https://.';
}

/** The type of the TLS record (RFC 8446, 5.1) with which a TLS server answers a plaintext request. */
const TLS_ALERT = 0x15;

function nameText(error: unknown): string {
  const { reason } = error as { reason?: unknown };
  const why = typeof reason === 'string' ? ` (${reason.trim()})` : '';
  return (
    `its certificate is not for this name${why}. Use a URL with a name in its certificate, set that name as registryTls.serverName, ` +
    'or sign one with that name as subjectAltName.'
  );
}

function refusedText(guess: string): string {
  return (
    (guess === '' ? 'it refuses our certificate. ' : `it closed the connection in the handshake. ${guess}`) +
    `Show one that is valid now and signed by a CA that the registry trusts (its --tls-ca): ${CERT_OPTION}.`
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function rawOf(error: unknown): Uint8Array | null {
  return error instanceof Error && 'rawPacket' in error && error.rawPacket instanceof Uint8Array
    ? error.rawPacket
    : null;
}
