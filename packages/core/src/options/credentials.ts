import { messageOf, RollcallError } from '../runtime/errors.js';
import type { Log } from '../runtime/log.js';
import type { CredentialTerms } from './tls.js';

/** The PEM texts of one side of a connection. */
export interface Pem {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** The parts of `Credentials`. How files are read is up to the caller. */
export interface CredentialParts<Context> {
  readonly terms: CredentialTerms;
  /** The name of the option, for messages. */
  readonly option: string;
  readonly log: Log;
  /** A value that changes when the file changes. Throws if the file does not exist. */
  readonly stamp: (path: string) => string;
  readonly read: (path: string) => string;
  /** Builds the TLS context. Throws if a text is not valid PEM, or if the texts do not belong together. */
  readonly build: (pem: Pem) => Context;
}

const NAMES = ['ca', 'cert', 'key'] as const;
const BEGIN = /-----BEGIN /g;
const END = /-----END [A-Z0-9 ]+-----/g;

/**
 * The certificates that one side of TLS connections presents and trusts. Each access checks the files and reads them if
 * they have changed, so a rotation needs neither a restart nor a timer. While the files are unusable (half written, a
 * certificate without its new key yet, missing), the last usable ones stay in effect, which is logged once.
 */
export class Credentials<Context> {
  readonly #parts: CredentialParts<Context>;
  readonly #files: readonly string[];
  #context: Context;
  #versions: string;
  #loggedProblem: string | null = null;

  /** Throws OPTION_INVALID if the texts or files cannot be read or used. */
  constructor(parts: CredentialParts<Context>) {
    const { caFile, certFile, keyFile } = parts.terms;
    this.#parts = parts;
    this.#files = [caFile, certFile, keyFile].filter((path) => path !== undefined);
    try {
      this.#versions = this.#fileVersions();
      this.#context = this.#read();
    } catch (cause) {
      throw new RollcallError(
        'OPTION_INVALID',
        `Option ${parts.option}: the certificates or the key cannot be read: ${messageOf(cause)}. Give PEM texts that belong together.`,
        { cause },
      );
    }
  }

  /** The context for the next connection: the same object until the files change. */
  get current(): Context {
    if (this.#files.length === 0) return this.#context;
    try {
      this.#renew();
      this.#loggedProblem = null;
    } catch (error) {
      this.#logOnce(messageOf(error));
    }
    return this.#context;
  }

  #renew(): void {
    // versions are determined before the files are read, so that a change in between is read next time
    const stamps = this.#fileVersions();
    if (stamps === this.#versions) return;
    this.#context = this.#read();
    this.#versions = stamps;
    this.#parts.log.info(
      `Option ${this.#parts.option}: ${this.#files.join(', ')} changed, and will be used from now on.`,
    );
  }

  #fileVersions(): string {
    return this.#files.map(this.#parts.stamp).join(' ');
  }

  #read(): Context {
    const { terms, read, build } = this.#parts;
    const textOf = (name: (typeof NAMES)[number]): string | undefined => {
      const path = terms[`${name}File`];
      return path === undefined ? terms[name] : completePem(read(path), path);
    };
    return build({ ca: textOf('ca'), cert: textOf('cert'), key: textOf('key') });
  }

  #logOnce(why: string): void {
    if (why === this.#loggedProblem) return;
    this.#loggedProblem = why;
    this.#parts.log.warn(
      `Option ${this.#parts.option}: ${this.#files.join(', ')} changed, but cannot be used: ${why}. Put a matching ` +
        'certificate and key there; until then connections use the previous files.',
    );
  }
}

/** Throws unless each PEM block is complete: in a file that is being written, only the first certificate may be complete. */
function completePem(text: string, path: string): string {
  const begun = text.match(BEGIN)?.length ?? 0;
  if (begun > 0 && begun === (text.match(END)?.length ?? 0)) return text;
  throw new Error(`${path} ${begun === 0 ? 'has no PEM text' : 'is truncated'}`);
}
