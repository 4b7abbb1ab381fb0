import { mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Certificates, Pair } from '../process/certificates.js';
import { launch } from '../process/launch.js';

const CONFIG = `
[ca]
default_ca = own
[own]
database = index.txt
default_md = sha256
default_crl_days = 2
`;

/** Writes a CA's list of revoked certificates, replacing the previous one, and returns its path. */
export function writeRevocationList(
  by: Pair,
  revoked: readonly Pair[],
  { folder }: Certificates,
  name: string,
): Promise<string> {
  return list({ by, revoked, times: [] }, folder, name);
}

/** Writes a list that is long out of date, as if the next one was not made in time. */
export function writeOutdatedList(by: Pair, { folder }: Certificates, name: string): Promise<string> {
  const times = ['-crl_lastupdate', '20250101000000Z', '-crl_nextupdate', '20250102000000Z'];
  return list({ by, revoked: [], times }, folder, name);
}

interface Wanted {
  readonly by: Pair;
  readonly revoked: readonly Pair[];
  readonly times: readonly string[];
}

async function list({ by, revoked, times }: Wanted, folder: string, name: string): Promise<string> {
  const room = mkdtempSync(join(folder, 'ca-'));
  writeFileSync(join(room, 'ca.cnf'), CONFIG);
  writeFileSync(join(room, 'index.txt'), '');
  const ca = ['ca', '-config', 'ca.cnf', '-cert', by.certFile, '-keyfile', by.keyFile];
  for (const { certFile } of revoked) await openssl(room, [...ca, '-revoke', certFile]);
  await openssl(room, [...ca, '-gencrl', ...times, '-out', 'list.pem']);
  renameSync(join(room, 'list.pem'), join(folder, name));
  return join(folder, name);
}

/** A self-signed certificate. */
export async function selfSigned({ folder }: Certificates, uri: string): Promise<Pair> {
  const room = mkdtempSync(join(folder, 'self-'));
  const pair = { certFile: join(room, 'self.pem'), keyFile: join(room, 'self.key') };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', pair.keyFile];
  const names = ['-subj', '/CN=self', '-addext', `subjectAltName=URI:${uri}`];
  await openssl(room, ['req', '-x509', ...key, '-days', '2', ...names, '-out', pair.certFile]);
  return pair;
}

export const textOf = ({ certFile, keyFile }: Pair): { readonly cert: string; readonly key: string } => ({
  cert: readFileSync(certFile, 'utf8'),
  key: readFileSync(keyFile, 'utf8'),
});

async function openssl(cwd: string, args: readonly string[]): Promise<void> {
  const { exited, err } = launch('openssl', args, { cwd });
  const { code } = await exited;
  if (code !== 0) throw new Error(`openssl ${args.join(' ')}:\n${err.join('\n')}`);
}
