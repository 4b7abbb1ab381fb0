import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { connect, createSecureContext } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import { Credentials, silentLog } from '@rollcall/core';
import type { Endpoint, Log, Pem, TlsTerms } from '@rollcall/core';

/** Opens a TLS connection for a Heartbeat-1; whatever is wrong with the peer's certificate is an error of the socket. */
export type ConnectSecurely = (endpoint: Endpoint, alpn: string | undefined) => TLSSocket;

/** Files are read anew when they have changed. Throws OPTION_INVALID for a certificate, key or file that cannot be read. */
export function secureWay(terms: TlsTerms = {}, log: Log = silentLog): ConnectSecurely {
  const { rejectUnauthorized = true } = terms;
  const open = (): Credentials<SecureContext> =>
    new Credentials({ terms, option: 'heartbeatTls', log, stamp, read: (path) => readFileSync(path, 'utf8'), build });
  // what was given is read now, so that a typing error is found at the start; what Node trusts takes time, and may not be needed
  const isGiven = [terms.ca, terms.cert, terms.caFile, terms.certFile].some((one) => one !== undefined);
  let credentials = isGiven ? open() : null;
  return ({ host, port }, alpn) => {
    credentials ??= open();
    const to = {
      host,
      port,
      autoSelectFamily: false,
      allowHalfOpen: true,
      secureContext: credentials.current,
      rejectUnauthorized,
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
      ...(isIP(host) === 0 ? { servername: host } : {}),
    };
    return connect(to);
  };
}

/** Of a file, or of what stands there for it now: platforms change links. */
function stamp(path: string): string {
  const { mtimeNs, size, ino } = statSync(path, { bigint: true });
  return `${mtimeNs}-${size}-${ino}`;
}

const ONE_CERTIFICATE = /-----BEGIN [A-Z ]*CERTIFICATE-----[^-]*-----END [A-Z ]*CERTIFICATE-----/g;

const certificateOf = (text: string): X509Certificate => new X509Certificate(text);

function build({ ca, cert, key }: Pem): SecureContext {
  // Node passes over what is none
  for (const [text] of (ca ?? '').matchAll(ONE_CERTIFICATE)) certificateOf(text);
  return createSecureContext({ ca, cert, key });
}
