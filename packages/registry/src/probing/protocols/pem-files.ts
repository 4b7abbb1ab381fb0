import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { Pem } from '@rollcall/core';

/** Reads the files of the `Credentials` of core. */
export const PEM_FILES = { stamp: stampOf, read: (path: string): string => readFileSync(path, 'utf8') } as const;

/** Identifies the version of the file behind all links: a mounted secret is changed by changing a link. */
function stampOf(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}

const ONE_CERTIFICATE = /-----BEGIN [A-Z ]*CERTIFICATE-----[^-]*-----END [A-Z ]*CERTIFICATE-----/g;

/**
 * The secure context for Node, and the CAs that it trusts. Throws if one of them cannot be read, or if the certificate
 * and the key do not match.
 */
export function contextOf({ ca, cert, key }: Pem): {
  readonly context: SecureContext;
  readonly cas: readonly X509Certificate[];
} {
  // Node ignores text that is not a certificate; parsing each one reports it
  const cas = [...(ca ?? '').matchAll(ONE_CERTIFICATE)].map(([text]) => new X509Certificate(text));
  return { context: createSecureContext({ ca, cert, key }), cas };
}
