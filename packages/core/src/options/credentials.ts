import { messageOf, RollcallError } from '../runtime/errors.js';
import type { Log } from '../runtime/log.js';
import type { CredentialTerms } from './tls.js';

/** PEM texts. */
export interface Pem {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** What they are made of: how files are read is the own matter of whoever has some. */
export interface CredentialParts<Context> {
  readonly terms: CredentialTerms;
  /** The option they are from, for messages. */
  readonly option: string;
  readonly log: Log;
  /** Something that differs when a file has changed. Throws where there is none. */
  readonly stamp: (path: string) => string;
  readonly read: (path: string) => string;
  /** What connections are opened with. Throws when a text is none, or when they do not belong together. */
  readonly build: (pem: Pem) => Context;
}

const NAMES = ['ca', 'cert', 'key'] as const;
const BEGIN = /-----BEGIN /g;
const END = /-----END [A-Z0-9 ]+-----/g;

/**
 * What one side of TLS connections shows, and whom it trusts. Files are looked at each time somebody asks, and read when they have
 * changed: so a rotation needs no restart, and no timer. While they cannot be used (half written, a certificate without its new key
 * yet, gone) the last ones that could be go on, which is told once.
 */
export class Credentials<Context> {
  readonly #parts: CredentialParts<Context>;
  readonly #files: readonly string[];
  #context: Context;
  #stamps: string;
  #complaint: string | null = null;

  /** Throws OPTION_INVALID for what cannot be read or used. */
  constructor(parts: CredentialParts<Context>) {
    const { caFile, certFile, keyFile } = parts.terms;
    this.#parts = parts;
    this.#files = [caFile, certFile, keyFile].filter((path) => path !== undefined);
    try {
      this.#stamps = this.#look();
      this.#context = this.#read();
    } catch (cause) {
      throw new RollcallError(
        'OPTION_INVALID',
        `Option ${parts.option}: the certificates or the key cannot be read: ${messageOf(cause)}. Give PEM texts that belong together.`,
        { cause },
      );
    }
  }

  /** What the next connection is opened with: the same object until the files have changed. */
  get current(): Context {
    if (this.#files.length === 0) return this.#context;
    try {
      this.#renew();
      this.#complaint = null;
    } catch (error) {
      this.#complain(messageOf(error));
    }
    return this.#context;
  }

  #renew(): void {
    // looked at before they are read: what changes meanwhile is read next time
    const stamps = this.#look();
    if (stamps === this.#stamps) return;
    this.#context = this.#read();
    this.#stamps = stamps;
    this.#parts.log.info(
      `Option ${this.#parts.option}: ${this.#files.join(', ')} changed, and will be used from now on.`,
    );
  }

  #look(): string {
    return this.#files.map(this.#parts.stamp).join(' ');
  }

  #read(): Context {
    const { terms, read, build } = this.#parts;
    const textOf = (name: (typeof NAMES)[number]): string | undefined => {
      const path = terms[`${name}File`];
      return path === undefined ? terms[name] : whole(read(path), path);
    };
    return build({ ca: textOf('ca'), cert: textOf('cert'), key: textOf('key') });
  }

  #complain(why: string): void {
    if (why === this.#complaint) return;
    this.#complaint = why;
    this.#parts.log.warn(
      `Option ${this.#parts.option}: ${this.#files.join(', ')} changed, but cannot be used: ${why}. Connections go on with what was there ` +
        'before, until they can. Put certificate and key there that belong together.',
    );
  }
}

/** A file that is being written may be cut off, and the first of its certificates be whole. */
function whole(text: string, path: string): string {
  const begun = text.match(BEGIN)?.length ?? 0;
  if (begun > 0 && begun === (text.match(END)?.length ?? 0)) return text;
  throw new Error(`${path} ${begun === 0 ? 'has no PEM text' : 'is cut short'}`);
}
