import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Certificate and private key, as PEM texts. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateSpec {
  /** `URI:rollcall:reader`, `DNS:localhost`, `IP:127.0.0.1`. */
  readonly sans: readonly string[];
  /** It expired years ago. */
  readonly isExpired?: boolean;
  readonly extendedKeyUsage?: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const;
const CONFIG = `
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_days = 2
default_crl_days = 2
unique_subject = no
policy = any
[any]
commonName = supplied
`;

/** A CA in a folder of its own, made by the command `openssl`. */
export class Pki {
  readonly folder: string;
  /** Its own certificate. */
  readonly ca: string;
  #count = 0;

  private constructor(folder: string, ca: string) {
    this.folder = folder;
    this.ca = ca;
  }

  static async make(): Promise<Pki> {
    const folder = await mkdtemp(join(tmpdir(), 'rollcall-pki-'));
    await writeFile(join(folder, 'ca.cnf'), CONFIG);
    await writeFile(join(folder, 'index.txt'), '');
    await writeFile(join(folder, 'serial'), '1000\n');
    const usage = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
    const files = ['-keyout', 'ca.key', '-out', 'ca.pem'];
    await openssl(folder, ['req', '-x509', ...KEY, '-days', '2', '-subj', '/CN=a test CA', ...usage, ...files]);
    return new Pki(folder, await readFile(join(folder, 'ca.pem'), 'utf8'));
  }

  /** The path for a file of this name. */
  path(name: string): string {
    return join(this.folder, name);
  }

  async sign(spec: CertificateSpec): Promise<Pair> {
    const name = await this.#extensions(spec);
    await this.#openssl('req', ...KEY, '-subj', `/CN=${name}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const over = spec.isExpired === true ? ['-startdate', '20200101000000Z', '-enddate', '20200201000000Z'] : [];
    const files = ['-in', `${name}.csr`, '-extfile', `${name}.ext`, '-out', `${name}.pem`];
    await this.#openssl('ca', '-batch', '-notext', '-config', 'ca.cnf', ...over, ...files);
    return this.#pair(name);
  }

  /** A certificate that no CA has signed. */
  async selfSigned(spec: CertificateSpec): Promise<Pair> {
    const name = await this.#extensions(spec);
    const sans = spec.sans.join(',');
    const files = ['-keyout', `${name}.key`, '-out', `${name}.pem`];
    const extension = ['-addext', `subjectAltName=${sans}`];
    await this.#openssl('req', '-x509', ...KEY, '-days', '2', '-subj', `/CN=${name}`, ...extension, ...files);
    return this.#pair(name);
  }

  /** Its revocation list, to which these are added permanently. */
  async revocationList(...revoked: readonly Pair[]): Promise<string> {
    for (const { cert } of revoked) {
      await writeFile(this.path('revoked.pem'), cert);
      await this.#openssl('ca', '-config', 'ca.cnf', '-revoke', 'revoked.pem');
    }
    await this.#openssl('ca', '-config', 'ca.cnf', '-gencrl', '-out', 'list.pem');
    return readFile(this.path('list.pem'), 'utf8');
  }

  /** Its revocation list, which is out of date after this time. */
  async passingList(seconds: number): Promise<string> {
    await this.#openssl('ca', '-config', 'ca.cnf', '-gencrl', '-crlsec', String(seconds), '-out', 'list.pem');
    return readFile(this.path('list.pem'), 'utf8');
  }

  /** Writes a file into its folder, at once. */
  async write(name: string, text: string): Promise<string> {
    await writeFile(this.path(name), text);
    return this.path(name);
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true });
  }

  async #extensions({ sans, extendedKeyUsage }: CertificateSpec): Promise<string> {
    this.#count += 1;
    const name = `certificate-${this.#count}`;
    // one by one, so that a name may hold a comma
    const names = sans.map((san, index) => san.replace(/^(\w+):/, (_, kind: string) => `${kind}.${index + 1} = `));
    const use = extendedKeyUsage === undefined ? [] : [`extendedKeyUsage = ${extendedKeyUsage}`];
    const has = sans.length === 0 ? ['basicConstraints = CA:FALSE'] : ['subjectAltName = @names'];
    await writeFile(this.path(`${name}.ext`), [...has, ...use, '[names]', ...names, ''].join('\n'));
    return name;
  }

  async #pair(name: string): Promise<Pair> {
    const [cert, key] = await Promise.all([
      readFile(this.path(`${name}.pem`), 'utf8'),
      readFile(this.path(`${name}.key`), 'utf8'),
    ]);
    return { cert, key };
  }

  async #openssl(...args: readonly string[]): Promise<void> {
    await openssl(this.folder, args);
  }
}

async function openssl(cwd: string, args: readonly string[]): Promise<void> {
  await run('openssl', [...args], { cwd, timeout: 20_000 });
}
