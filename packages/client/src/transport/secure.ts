import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, createSecureContext } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import { messageOf, RollcallError } from '@rollcall/core';
import type { Endpoint, TlsTerms } from '@rollcall/core';

/** Opens the TLS connections to instances, all on the same terms. */
export class SecureWay {
  readonly #terms: TlsTerms;
  #context: SecureContext | null = null;

  /** Throws OPTION_INVALID for a certificate or key that cannot be read. */
  constructor(terms: TlsTerms = {}) {
    this.#terms = terms;
    // what was given is read now, so that a typing error is found at the start; what Node trusts takes time, and may not be needed
    if (terms.ca !== undefined || terms.cert !== undefined) this.#context = contextOf(terms);
  }

  /** `alpn`: what is to be spoken, where the peer may ask. Whatever is wrong is an error of the socket. */
  connect({ host, port }: Endpoint, alpn?: string): TLSSocket {
    this.#context ??= contextOf(this.#terms);
    return connect({
      host,
      port,
      secureContext: this.#context,
      rejectUnauthorized: this.#terms.rejectUnauthorized ?? true,
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
  }
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
      `Option tls: the certificates or the key cannot be read: ${messageOf(cause)}. Give PEM texts that belong together.`,
      { cause },
    );
  }
}
