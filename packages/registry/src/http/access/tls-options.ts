import { option, ROLES } from '@rollcall/core';
import type { OptionRule, OptionsOf, OptionSpec } from '@rollcall/core';
import { SAN_PATTERN, SAN_PATTERN_TEXT } from '../../access/client-certificates.js';
import type { CertificateRule } from '../../access/client-certificates.js';
import { SERVICE_PATTERN, SERVICE_PATTERN_TEXT } from '../../access/permissions.js';
import type { RegistryTls } from './tls.js';

const file = (doc: string): OptionSpec<string, undefined> =>
  option.string({ doc, pattern: /^(?!-----BEGIN)./, allowed: 'the name of a file, not PEM text' });

const rule = option.object(
  {
    san: option.string({ doc: 'a subject alternative name', pattern: SAN_PATTERN, allowed: SAN_PATTERN_TEXT }),
    role: option.oneOf(ROLES, { doc: 'what its holder may do' }),
    services: option.list({
      doc: 'of a service: the names that it may register and act for',
      item: option.string({ doc: 'a service', pattern: SERVICE_PATTERN, allowed: SERVICE_PATTERN_TEXT }),
      default: [],
    }),
  },
  { doc: 'the rights of one name' },
);

const fields = {
  certFile: file(
    "The registry's certificate (PEM), with the intermediate ones up to its CA: it then serves https, TLS 1.2 and 1.3. Read again within a second after a change, without a restart; so are the other files.",
  ),
  keyFile: file('The private key of the certificate (PEM).'),
  caFile: file(
    'The CAs (PEM, one after the other) that sign the certificates of clients: then clients are asked for a certificate, which must have the URI rollcall:service:<pattern>, rollcall:reader or rollcall:operator among its subject alternative names, or one that is in certificates. A client without one needs a token if tokens are configured, and is refused otherwise.',
  ),
  crlFile: file(
    'The revocation lists of those CAs (PEM): of each one in the chain, and not out of date, otherwise no client is trusted. When the file changes, or a list goes out of date, connections with client certificates are closed, and valid clients reconnect.',
  ),
  certificates: option.list({
    doc: "The rights of certificates that were not made for Rollcall: { san: 'DNS:orders.prod.internal', role: 'service', services: ['orders'] }. `*.` at the beginning of a DNS name is any one label; a URI is the whole one.",
    item: rule,
    default: [],
  }),
};

type Parsed = OptionsOf<typeof fields>;

const RULES: readonly OptionRule<Parsed>[] = [
  ({ certFile, keyFile }) =>
    (certFile === undefined) === (keyFile === undefined)
      ? null
      : `tls: ${certFile === undefined ? 'keyFile' : 'certFile'} is set without ${certFile === undefined ? 'certFile' : 'keyFile'}: set both, or neither.`,
  ({ certFile, caFile }) =>
    caFile === undefined || certFile !== undefined
      ? null
      : 'tls.caFile is set without certFile: clients show certificates only to a registry that has one itself; set certFile and keyFile, too.',
  ({ caFile, crlFile }) =>
    crlFile === undefined || caFile !== undefined
      ? null
      : 'tls.crlFile is set without caFile, whose certificates it revokes: set caFile, too.',
  ({ caFile, certificates }) =>
    certificates.length === 0 || caFile !== undefined
      ? null
      : 'tls.certificates is set without caFile, so no client is asked for a certificate: set caFile, too.',
  ({ certificates }) => certificates.map(ruleFlaw).find((flaw) => flaw !== null) ?? null,
];

function ruleFlaw({ san, role, services }: Parsed['certificates'][number], index: number): string | null {
  const path = `tls.certificates[${index}]`;
  if (san === undefined || role === undefined) return `${path}: give a san and a role.`;
  if (role === 'service' && services.length === 0) return `${path}: give the services that ${san} may register.`;
  if (role !== 'service' && services.length > 0) return `${path}: a ${role} has no services; leave them out.`;
  return null;
}

/** TLS of the registry itself. */
export const registryTls: OptionSpec<Parsed> = option.object(fields, {
  doc: 'TLS of the registry itself, and client certificates.',
  rules: RULES,
});

/** The TLS settings; undefined: plain HTTP. */
export function tlsOf({ certFile, keyFile, certificates, ...rest }: Parsed): RegistryTls | undefined {
  if (certFile === undefined || keyFile === undefined) return undefined;
  const rules = certificates.flatMap(({ san, role, services }): readonly CertificateRule[] =>
    san === undefined || role === undefined ? [] : [{ san, role, services }],
  );
  return { ...rest, certFile, keyFile, certificates: rules };
}
