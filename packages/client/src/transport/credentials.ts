import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { Credentials, silentLog } from '@rollcall/core';
import type { CredentialTerms, Log, Pem } from '@rollcall/core';

/** The credentials and the trusted CAs of connections that this process opens. */
export type SecureCredentials = Credentials<SecureContext>;

/** Throws OPTION_INVALID for a certificate, key or file that cannot be read. */
export function credentialsOf(terms: CredentialTerms, option: string, log: Log = silentLog): SecureCredentials {
  return new Credentials({ terms, option, log, stamp: fileVersion, read, build });
}

function read(path: string): string {
  return readFileSync(path, 'utf8');
}

/** The version of a file, or of the target of a link: container platforms update files by changing links. */
function fileVersion(path: string): string {
  const { mtimeNs, size, ino } = statSync(path, { bigint: true });
  return `${mtimeNs}-${size}-${ino}`;
}

const ONE_CERTIFICATE = /-----BEGIN [A-Z ]*CERTIFICATE-----[^-]*-----END [A-Z ]*CERTIFICATE-----/g;

const certificateOf = (text: string): X509Certificate => new X509Certificate(text);

function build({ ca, cert, key }: Pem): SecureContext {
  // Node ignores lines that are not certificates
  for (const [text] of (ca ?? '').matchAll(ONE_CERTIFICATE)) certificateOf(text);
  return createSecureContext({ ca, cert, key });
}
