import { option } from './options.js';
import type { OptionLaw, OptionsOf } from './options.js';

/** How the two sides of a TLS connection prove who they are. PEM texts, not the names of files. */
export interface TlsTerms {
  /** The certificates of those who may sign for the peer, instead of the ones that Node trusts (with NODE_EXTRA_CA_CERTS). */
  readonly ca?: string | undefined;
  /** Our own certificate, for a peer that asks for one; with `key`. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Is a peer refused whose certificate is not signed so, or is not for its address? Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
}

const certificate = {
  pattern: /-----BEGIN [A-Z ]*CERTIFICATE-----/,
  allowed: 'PEM text, not the name of a file',
} as const;

/** One table for whoever opens TLS connections. */
export const tlsFields = {
  ca: option.string({
    doc: 'Certificates (PEM, one after the other) of those who may sign for the peer. Left out: whom Node trusts, with NODE_EXTRA_CA_CERTS.',
    ...certificate,
  }),
  cert: option.string({ doc: 'Our own certificate (PEM), for a peer that asks for one.', ...certificate }),
  key: option.string({ doc: 'Its private key (PEM).', pattern: /^/, allowed: 'PEM text, not the name of a file' }),
  rejectUnauthorized: option.boolean({
    doc: 'Is a peer refused whose certificate is not signed so, or not for its address (the host it is registered with)?',
    default: true,
  }),
};

export const tlsLaws: readonly OptionLaw<OptionsOf<typeof tlsFields>>[] = [
  ({ cert, key }) =>
    (cert === undefined) === (key === undefined)
      ? null
      : `tls: ${cert === undefined ? 'key' : 'cert'} is there without ${cert === undefined ? 'cert' : 'key'}: give both, or none.`,
];
