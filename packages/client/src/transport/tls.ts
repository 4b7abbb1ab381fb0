import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { Endpoint, Log, TlsTerms } from '@rollcall/core';
import { credentialsOf } from './credentials.js';
import type { SecureCredentials } from './credentials.js';

/** Opens the TLS connections to instances, all with the same settings. Files are read again when they change. */
export class TlsConnector {
  readonly #terms: TlsTerms;
  readonly #log: Log | undefined;
  #credentials: SecureCredentials | null = null;

  /** Throws OPTION_INVALID for a certificate or key that cannot be read. */
  constructor(terms: TlsTerms = {}, log?: Log) {
    this.#terms = terms;
    this.#log = log;
    // given files are read now, so that an error is found at the start; loading Node's CAs takes time, and may not be needed
    const isGiven = [terms.ca, terms.cert, terms.caFile, terms.certFile].some((one) => one !== undefined);
    if (isGiven) this.#credentials = credentialsOf(terms, 'tls', log);
  }

  /** `alpn` is the protocol to offer to the peer. Any problem is reported as an error of the socket. */
  connect({ host, port }: Endpoint, alpn?: string): TLSSocket {
    this.#credentials ??= credentialsOf(this.#terms, 'tls', this.#log);
    return connect({
      host,
      port,
      secureContext: this.#credentials.current,
      rejectUnauthorized: this.#terms.rejectUnauthorized ?? true,
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
  }
}
