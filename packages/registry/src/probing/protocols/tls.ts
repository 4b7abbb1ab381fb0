import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import { Credentials, silentLog } from '@rollcall/core';
import type { Endpoint, Log, Pem, TlsTerms } from '@rollcall/core';
import { contextOf, PEM_FILES } from './pem-files.js';

/** Opens a TLS connection for a Heartbeat-1; a problem with the peer's certificate is an error of the socket. */
export type ConnectSecurely = (endpoint: Endpoint, alpn: string | undefined) => TLSSocket;

/**
 * Files are read again when they change. `option`: the name of the option for messages. Throws OPTION_INVALID for a
 * certificate, key or file that cannot be read.
 */
export function secureConnector(terms: TlsTerms = {}, log: Log = silentLog, option = 'heartbeatTls'): ConnectSecurely {
  const { rejectUnauthorized = true } = terms;
  const open = (): Credentials<SecureContext> => new Credentials({ terms, option, log, ...PEM_FILES, build });
  // configured files are read now, so that a mistake shows at the start; the CAs of Node take time to load, and may not
  // be needed
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

const build = (pem: Pem): SecureContext => contextOf(pem).context;
