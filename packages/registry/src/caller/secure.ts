import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, createSecureContext } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import { messageOf, RollcallError } from '@rollcall/core';
import type { Endpoint, TlsTerms } from '@rollcall/core';

/** Opens a TLS connection for a Heartbeat-1; whatever is wrong with the peer's certificate is an error of the socket. */
export type ConnectSecurely = (endpoint: Endpoint, alpn: string | undefined) => TLSSocket;

/** Throws OPTION_INVALID for a certificate or key that cannot be read. */
export function secureWay(terms: TlsTerms = {}): ConnectSecurely {
  const { ca, cert, rejectUnauthorized = true } = terms;
  // what was given is read now, so that a typing error is found at the start
  let context = ca === undefined && cert === undefined ? null : contextOf(terms);
  return ({ host, port }, alpn) => {
    context ??= contextOf(terms);
    const to = {
      host,
      port,
      autoSelectFamily: false,
      allowHalfOpen: true,
      secureContext: context,
      rejectUnauthorized,
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
      ...(isIP(host) === 0 ? { servername: host } : {}),
    };
    return connect(to);
  };
}

const ONE_CERTIFICATE = /-----BEGIN [A-Z ]*CERTIFICATE-----[^-]*-----END [A-Z ]*CERTIFICATE-----/g;

const certificateOf = (text: string): X509Certificate => new X509Certificate(text);

function contextOf({ ca, cert, key }: TlsTerms): SecureContext {
  try {
    // Node passes over what is none
    for (const [text] of (ca ?? '').matchAll(ONE_CERTIFICATE)) certificateOf(text);
    return createSecureContext({ ca, cert, key });
  } catch (cause) {
    throw new RollcallError(
      'OPTION_INVALID',
      `Option heartbeatTls: the certificates or the key cannot be read: ${messageOf(cause)}. Give PEM texts that belong together.`,
      { cause },
    );
  }
}
