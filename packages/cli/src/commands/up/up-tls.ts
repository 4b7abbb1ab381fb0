import { resolve } from 'node:path';
import { option, RollcallError } from '@rollcall/core';
import { ROLES } from '@rollcall/registry';
import type { StartOptions } from '@rollcall/registry';
import { repeated, valued } from '../../terminal/arguments.js';

type Tls = NonNullable<StartOptions['tls']>;
type Rule = NonNullable<Tls['certificates']>[number];

const file = (doc: string) => valued(option.string({ doc }), '<file>');

/** Options of `rollcall up` for TLS. */
export const TLS_FLAGS = {
  '--tls-cert': file('serve https with this certificate (PEM, with those between it and its CA); needs --tls-key'),
  '--tls-key': file('its private key (PEM)'),
  '--tls-ca': file('ask clients for certificates that these CAs (PEM) have signed'),
  '--tls-crl': file('the revocation lists (PEM) of those CAs'),
  '--tls-client': repeated(
    option.list({
      doc: 'the role of a certificate that does not declare one; may be repeated: URI:spiffe://prod/orders=service:orders',
      item: option.string({ doc: 'a rule' }),
      default: [],
    }),
    '<san>=<role>',
  ),
  '--services-ca': file('the CAs (PEM) of services over TLS; default: the CAs of Node, with NODE_EXTRA_CA_CERTS'),
};

/** The given values. */
export interface TlsFlags {
  readonly '--tls-cert': string | undefined;
  readonly '--tls-key': string | undefined;
  readonly '--tls-ca': string | undefined;
  readonly '--tls-crl': string | undefined;
  readonly '--tls-client': readonly string[];
  readonly '--services-ca': string | undefined;
}

/** The options of TLS. The registry rejects contradictions. Throws OPTION_INVALID. */
export function tlsOf(flags: TlsFlags): Pick<StartOptions, 'tls' | 'heartbeatTls'> {
  const { '--tls-cert': certFile, '--tls-key': keyFile, '--tls-ca': caFile, '--tls-crl': crlFile } = flags;
  const services = flags['--services-ca'];
  const certificates = flags['--tls-client'].map(ruleOf);
  const heartbeatTls = services === undefined ? {} : { heartbeatTls: { caFile: resolve(services) } };
  if (certFile !== undefined && keyFile !== undefined) {
    const trust = { ...(caFile && { caFile: resolve(caFile) }), ...(crlFile && { crlFile: resolve(crlFile) }) };
    return { ...heartbeatTls, tls: { certFile: resolve(certFile), keyFile: resolve(keyFile), ...trust, certificates } };
  }
  const isGiven = [certFile, keyFile, caFile, crlFile].some((name) => name !== undefined) || certificates.length > 0;
  if (!isGiven) return heartbeatTls;
  const missing = certFile === undefined ? '--tls-cert' : '--tls-key';
  throw new RollcallError('OPTION_INVALID', `${missing} is missing: TLS needs --tls-cert <file> and --tls-key <file>.`);
}

function ruleOf(text: string): Rule {
  const [, san = '', roleName = '', services = ''] = /^(.+)=([a-z]+)(?::(.+))?$/.exec(text) ?? [];
  const role = ROLES.find((name) => name === roleName);
  if (role !== undefined) return { san, role, services: services === '' ? [] : services.split(',') };
  throw new RollcallError(
    'OPTION_INVALID',
    `Option --tls-client: received "${text}", allowed is <san>=service:<services>, <san>=reader or <san>=operator, ` +
      'such as DNS:orders.prod.internal=service:orders.',
  );
}
