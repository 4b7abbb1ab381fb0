import { option } from './options.js';
import type { OptionRule, OptionsOf } from './options.js';

/**
 * The certificates that one side of a TLS connection trusts and presents: each as a PEM text, or as a file, which is
 * read again before the next connection if it has changed.
 */
export interface CredentialTerms {
  /** The CA certificates that may sign for the peer, instead of those that Node trusts (with NODE_EXTRA_CA_CERTS). */
  readonly ca?: string | undefined;
  /** Our own certificate, for a peer that requests one, with its intermediate certificates; needs a key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** How the two sides of a TLS connection authenticate each other. */
export interface TlsTerms extends CredentialTerms {
  /**
   * Whether to reject a peer whose certificate is not signed by a trusted CA or not issued for its address. Default
   * true.
   */
  readonly rejectUnauthorized?: boolean | undefined;
}

const certificate = {
  pattern: /-----BEGIN [A-Z ]*CERTIFICATE-----/,
  allowed: 'PEM text, not the name of a file',
} as const;

const file = {
  pattern: /^(?!-----BEGIN)./,
  allowed: 'the name of a file, not PEM text',
} as const;

/** The options of a side that presents or trusts certificates. */
export const credentialFields = {
  ca: option.string({
    doc: 'CA certificates (PEM, concatenated) that may sign for the peer. Default, without caFile: those that Node trusts, with NODE_EXTRA_CA_CERTS.',
    ...certificate,
  }),
  cert: option.string({ doc: 'Our own certificate (PEM), for a peer that requests one.', ...certificate }),
  key: option.string({
    doc: 'Its private key (PEM).',
    pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
    allowed: 'PEM text, not the name of a file',
    secret: true,
  }),
  caFile: option.string({ doc: 'A file with the content of `ca`. It is read again when it changes.', ...file }),
  certFile: option.string({ doc: 'A file with the content of `cert`. It is read again when it changes.', ...file }),
  keyFile: option.string({
    doc: 'A file with the content of `key`. It is read again when it changes.',
    ...file,
    secret: true,
  }),
};

/** The options of a side that opens TLS connections. */
export const tlsFields = {
  ...credentialFields,
  rejectUnauthorized: option.boolean({
    doc: 'Whether to reject a peer whose certificate is not signed by a trusted CA, or not issued for its address (the host it is registered with).',
    default: true,
  }),
};

/** The rules between these options; `name` is the option that holds them, for messages. */
export function credentialRules(name: string): readonly OptionRule<CredentialTerms>[] {
  const twice = (what: 'ca' | 'cert' | 'key'): OptionRule<CredentialTerms> => {
    const inFile = `${what}File` as const;
    return (terms) =>
      terms[what] === undefined || terms[inFile] === undefined
        ? null
        : `${name}: ${what} and ${inFile} are both set: omit one of them.`;
  };
  return [
    ({ cert, key, certFile, keyFile }) => {
      const [hasCert, hasKey] = [cert ?? certFile, key ?? keyFile].map((one) => one !== undefined);
      if (hasCert === hasKey) return null;
      const [there, missing] = hasCert ? ['cert', 'key'] : ['key', 'cert'];
      return `${name}: ${there} is there without ${missing}: give both (${there}File and ${missing}File are files with them), or none.`;
    },
    ...(['ca', 'cert', 'key'] as const).map(twice),
  ];
}

export const tlsRules: readonly OptionRule<OptionsOf<typeof tlsFields>>[] = credentialRules('tls');
