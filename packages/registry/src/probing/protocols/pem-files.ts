import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { Pem } from '@rollcall/core';

/** How core's `Credentials` read files here. */
export const PEM_FILES = { stamp: stampOf, read: (path: string): string => readFileSync(path, 'utf8') } as const;

/** Of the file behind all links: a mounted secret is changed by changing a link. */
function stampOf(path: string): string {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}

const ONE_CERTIFICATE = /-----BEGIN [A-Z ]*CERTIFICATE-----[^-]*-----END [A-Z ]*CERTIFICATE-----/g;

/** What Node opens connections with, and the CAs that are trusted with it. Throws where one cannot be read, or they do not belong together. */
export function contextOf({ ca, cert, key }: Pem): {
  readonly context: SecureContext;
  readonly cas: readonly X509Certificate[];
} {
  // Node passes over what is none
  const cas = [...(ca ?? '').matchAll(ONE_CERTIFICATE)].map(([text]) => new X509Certificate(text));
  return { context: createSecureContext({ ca, cert, key }), cas };
}
