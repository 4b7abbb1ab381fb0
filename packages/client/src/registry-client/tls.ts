import type { SecureContext } from 'node:tls';
import { credentialFields, credentialRules, option } from '@rollcall/core';
import type { CredentialTerms, Log, OptionRule } from '@rollcall/core';
import { credentialsOf } from '../transport/credentials.js';
import type { SecureCredentials } from '../transport/credentials.js';

/** The TLS settings between this process and the registries. Files are read again before the next connection if they have changed. */
export interface RegistryTlsTerms extends CredentialTerms {
  /** The name for which the registry's certificate must be issued. Default: the host of its URL. */
  readonly serverName?: string | undefined;
}

/** The options for the parser and docs/OPTIONS.md. */
export const registryTlsFields = {
  ...credentialFields,
  serverName: option.string({
    doc: 'The name for which the registry’s certificate must be issued. Default: the host of its URL.',
  }),
};

export const registryTlsRules: readonly OptionRule<RegistryTlsTerms>[] = credentialRules('registryTls');

/** The TLS options of a request over https. */
export interface SecureRequestOptions {
  readonly secureContext: SecureContext;
  readonly servername?: string;
}

/** The TLS credentials for registries: one object for all of them, so that a problem with a file is logged once. */
export class RegistryTls {
  /** True if any setting is given. */
  readonly isGiven: boolean;
  /** True if this process has a certificate to present. */
  readonly isShown: boolean;
  readonly #terms: RegistryTlsTerms;
  readonly #log: Log | undefined;
  #credentials: SecureCredentials | null = null;
  #options: SecureRequestOptions | null = null;

  /** Throws OPTION_INVALID for a certificate, key or file that cannot be read. */
  constructor(terms: RegistryTlsTerms = {}, log?: Log) {
    const { ca, cert, caFile, certFile } = terms;
    this.#terms = terms;
    this.#log = log;
    this.isGiven = Object.values(terms).some((one) => one !== undefined);
    this.isShown = (cert ?? certFile) !== undefined;
    // reading the certificates that Node trusts takes time, and they may not be needed
    if (this.isShown || (ca ?? caFile) !== undefined) this.#credentials = credentialsOf(terms, 'registryTls', log);
  }

  /** The same object until the files change; connections that were opened with an earlier one must not be reused. */
  get options(): SecureRequestOptions {
    this.#credentials ??= credentialsOf(this.#terms, 'registryTls', this.#log);
    const secureContext = this.#credentials.current;
    if (this.#options?.secureContext === secureContext) return this.#options;
    const { serverName } = this.#terms;
    this.#options = { secureContext, ...(serverName === undefined ? {} : { servername: serverName }) };
    return this.#options;
  }
}
