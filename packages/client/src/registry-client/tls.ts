import type { SecureContext } from 'node:tls';
import { credentialFields, credentialLaws, option } from '@rollcall/core';
import type { CredentialTerms, Log, OptionLaw } from '@rollcall/core';
import { credentialsOf } from '../transport/credentials.js';
import type { SecureCredentials } from '../transport/credentials.js';

/** How a registry over TLS proves who it is, and we to it. Files are read anew when they have changed, before the next connection. */
export interface RegistryTlsTerms extends CredentialTerms {
  /** The name that the registry's certificate has to be for. Default: the host of its URL. */
  readonly serverName?: string | undefined;
}

/** One table for the parser and docs/OPTIONS.md. */
export const registryTlsFields = {
  ...credentialFields,
  serverName: option.string({
    doc: 'The name that the registry’s certificate has to be for. Default: the host of its URL.',
  }),
};

export const registryTlsLaws: readonly OptionLaw<RegistryTlsTerms>[] = credentialLaws('registryTls');

/** What a request over https is made with. */
export interface SecureRequestOptions {
  readonly secureContext: SecureContext;
  readonly servername?: string;
}

/** The TLS side of the way to registries: one for all of them, so that what is wrong with a file is told once. */
export class RegistryTls {
  /** Was anything said at all? */
  readonly isGiven: boolean;
  /** Do we have a certificate to show? */
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
    // whom Node trusts takes time to read, and may not be needed
    if (this.isShown || (ca ?? caFile) !== undefined) this.#credentials = credentialsOf(terms, 'registryTls', log);
  }

  /** The same object until the files have changed: then connections that are kept belong to the past. */
  get options(): SecureRequestOptions {
    this.#credentials ??= credentialsOf(this.#terms, 'registryTls', this.#log);
    const secureContext = this.#credentials.current;
    if (this.#options?.secureContext === secureContext) return this.#options;
    const { serverName } = this.#terms;
    this.#options = { secureContext, ...(serverName === undefined ? {} : { servername: serverName }) };
    return this.#options;
  }
}
