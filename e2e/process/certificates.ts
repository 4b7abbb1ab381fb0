import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from './launch.js';

/** The file names of a certificate and its private key. */
export interface Pair {
  readonly certFile: string;
  readonly keyFile: string;
}

/** Further names, and the validity: `days` from now, none at all for 0, or from the year 2200 on. */
export interface CertificateOptions {
  readonly names?: readonly string[];
  readonly days?: number;
  readonly isNotYetValid?: boolean;
}

/** Certificates made with openssl, as an operator makes them, in a folder of the test's own. */
export class Certificates {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'rollcall-certificates-'));
  #made = 0;

  /** A certificate authority. */
  async createAuthority(name: string): Promise<Pair> {
    const pair = this.#pair(name);
    const subject = ['-subj', `/CN=${name}`, '-keyout', pair.keyFile, '-out', pair.certFile];
    await openssl('req', '-x509', ...NEW_KEY, '-days', '2', ...subject);
    return pair;
  }

  /** A certificate for this machine, with further names (`URI:rollcall:reader`). */
  async createSigned(by: Pair, { names = [], days = 2, isNotYetValid = false }: CertificateOptions = {}) {
    this.#made += 1;
    const pair = this.#pair(`leaf-${this.#made}`);
    const [request, extensions] = [join(this.folder, `${this.#made}.csr`), join(this.folder, `${this.#made}.ext`)];
    writeFileSync(extensions, `subjectAltName=${['IP:127.0.0.1', 'DNS:localhost', ...names].join(',')}\n`);
    await openssl('req', ...NEW_KEY, '-subj', '/CN=test', '-keyout', pair.keyFile, '-out', request);
    const issuer = ['-CA', by.certFile, '-CAkey', by.keyFile, '-CAcreateserial'];
    // a validity that ended before it began
    const validityArgs = isNotYetValid
      ? ['-not_before', '22000101000000Z', '-not_after', '22000102000000Z']
      : days > 0
        ? ['-days', String(days)]
        : ['-not_before', '20200101000000Z', '-not_after', '20200102000000Z'];
    await openssl(
      'x509',
      '-req',
      '-in',
      request,
      ...issuer,
      ...validityArgs,
      '-extfile',
      extensions,
      '-out',
      pair.certFile,
    );
    return pair;
  }

  /** Installs the pair under these names: first the certificate, then its key, each atomically. */
  install(pair: Pair, name: string): Pair {
    const home = this.#pair(name);
    renameSync(pair.certFile, home.certFile);
    renameSync(pair.keyFile, home.keyFile);
    return home;
  }

  /** A copy of the pair, for when the original is no longer there. */
  copy(pair: Pair, name: string): Pair {
    const home = this.#pair(name);
    copyFileSync(pair.certFile, home.certFile);
    copyFileSync(pair.keyFile, home.keyFile);
    return home;
  }

  /** A file with all of these certificates; replaces an existing one. */
  bundle(name: string, of: readonly Pair[]): string {
    const [path, next] = [join(this.folder, name), join(this.folder, `${name}.next`)];
    writeFileSync(next, of.map(({ certFile }) => readFileSync(certFile, 'utf8')).join(''));
    renameSync(next, path);
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  #pair(name: string): Pair {
    return { certFile: join(this.folder, `${name}.pem`), keyFile: join(this.folder, `${name}.key`) };
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;

async function openssl(...args: readonly string[]): Promise<void> {
  const { exited, err } = launch('openssl', args);
  const { code } = await exited;
  if (code !== 0) throw new Error(`openssl ${args.join(' ')}:\n${err.join('\n')}`);
}

export function fingerprintOf({ certFile }: Pair): string {
  return new X509Certificate(readFileSync(certFile)).fingerprint256;
}

export const textOf = (path: string): string => readFileSync(path, 'utf8');
