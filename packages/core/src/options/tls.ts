import { option } from './options.js';
import type { OptionLaw, OptionsOf } from './options.js';

/**
 * Whom one side of a TLS connection trusts, and what it shows: each as a PEM text, or as a file with one, which is read anew when it
 * has changed, before the next connection.
 */
export interface CredentialTerms {
  /** The certificates of those who may sign for the peer, instead of the ones that Node trusts (with NODE_EXTRA_CA_CERTS). */
  readonly ca?: string | undefined;
  /** Our own certificate, for a peer that asks for one, with those between it and the CA; with a key. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** How the two sides of a TLS connection prove who they are. */
export interface TlsTerms extends CredentialTerms {
  /** Is a peer refused whose certificate is not signed so, or is not for its address? Default true. */
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

/** One table for whoever shows a certificate, or trusts one. */
export const credentialFields = {
  ca: option.string({
    doc: 'Certificates (PEM, one after the other) of those who may sign for the peer. Left out, with caFile: whom Node trusts, with NODE_EXTRA_CA_CERTS.',
    ...certificate,
  }),
  cert: option.string({ doc: 'Our own certificate (PEM), for a peer that asks for one.', ...certificate }),
  key: option.string({
    doc: 'Its private key (PEM).',
    pattern: /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
    allowed: 'PEM text, not the name of a file',
    secret: true,
  }),
  caFile: option.string({ doc: 'A file with what `ca` is. It is read anew when it has changed.', ...file }),
  certFile: option.string({ doc: 'A file with what `cert` is. It is read anew when it has changed.', ...file }),
  keyFile: option.string({
    doc: 'A file with what `key` is. It is read anew when it has changed.',
    ...file,
    secret: true,
  }),
};

/** One table for whoever opens TLS connections. */
export const tlsFields = {
  ...credentialFields,
  rejectUnauthorized: option.boolean({
    doc: 'Is a peer refused whose certificate is not signed so, or not for its address (the host it is registered with)?',
    default: true,
  }),
};

/** What holds between them, for the option of this name. */
export function credentialLaws(name: string): readonly OptionLaw<CredentialTerms>[] {
  const twice = (what: 'ca' | 'cert' | 'key'): OptionLaw<CredentialTerms> => {
    const inFile = `${what}File` as const;
    return (terms) =>
      terms[what] === undefined || terms[inFile] === undefined
        ? null
        : `${name}: ${what} and ${inFile} are both there: leave out one of them.`;
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

export const tlsLaws: readonly OptionLaw<OptionsOf<typeof tlsFields>>[] = credentialLaws('tls');
