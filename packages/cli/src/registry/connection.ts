import type { RegistryClient, RollcallOptions } from '@rollcall/client';
import {
  ACCESS_TOKEN,
  DEFAULT_NAMESPACE,
  NAME_PATTERN,
  option,
  parseOptions,
  RollcallError,
  systemTime,
} from '@rollcall/core';
import { toggle, valued } from '../terminal/arguments.js';
import type { Shell } from '../terminal/shell.js';
import { sendRequest, MAX_SOCKETS, plainFetch } from './node-fetch.js';
import type { Fetcher } from './node-fetch.js';
import { checkRegistryUrl, DEFAULT_URL, RegistryApi } from './registry-api.js';

/** The flags of every command that uses a registry. */
export const CONNECTION_FLAGS = {
  '--url': valued(
    option.string({ doc: `the registry; default ROLLCALL_URL (the first of several), else ${DEFAULT_URL}` }),
    '<url>',
  ),
  '--ca-file': valued(
    option.string({
      doc: 'for https: the CAs of the registry (PEM); default ROLLCALL_CA_FILE, else the CAs of Node',
    }),
    '<file>',
  ),
  '--cert-file': valued(
    option.string({ doc: 'the client certificate, if it requires one (PEM); default ROLLCALL_CERT_FILE' }),
    '<file>',
  ),
  '--key-file': valued(option.string({ doc: 'its private key (PEM); default ROLLCALL_KEY_FILE' }), '<file>'),
};

/** A typed namespace; `doc`: its purpose. */
export const namespaceOption = (doc: string) =>
  option.string({
    doc,
    pattern: NAME_PATTERN,
    allowed: 'a DNS label: lower-case letters, digits and hyphens, at most 63',
  });

const NAMESPACE_OPTION = namespaceOption(`in which names are looked up; default: ${DEFAULT_NAMESPACE}`);

/** The flag of every command that names services. */
export const NAMESPACE_FLAG = { '--namespace': valued(NAMESPACE_OPTION, '<name>', 'n') };

/** The same where `-n` is how many calls are made. */
export const LONG_NAMESPACE_FLAG = { '--namespace': valued(NAMESPACE_OPTION, '<name>') };

/** The flag of every command that lists. */
export const ALL_NAMESPACES_FLAG = { '--all-namespaces': toggle('of all namespaces', 'A') };

/** The given values; undefined: left out. */
export type ConnectionFlags = { readonly [Flag in keyof typeof CONNECTION_FLAGS]: string | undefined } & {
  readonly '--namespace'?: string | undefined;
  readonly '--all-namespaces'?: boolean;
};

/** The registry, and the credentials for it. */
export interface Connection {
  readonly url: string;
  /** The further URLs of a list of several, which services use. */
  readonly otherUrls: readonly string[];
  readonly namespace: string;
  readonly token: string | undefined;
  readonly tls: {
    readonly caFile: string | undefined;
    readonly certFile: string | undefined;
    readonly keyFile: string | undefined;
  };
}

const ENVIRONMENT = { ROLLCALL_TOKEN: option.string({ doc: 'what the registry asks for', ...ACCESS_TOKEN }) };

/** The connection that the flags, else the environment, define. Throws OPTION_INVALID. */
export function resolveConnection(flags: ConnectionFlags, env: Shell['env']): Connection {
  const given = (flag: keyof typeof CONNECTION_FLAGS, name: string): string | undefined =>
    flags[flag] ?? (env[name] || undefined);
  const urls = (given('--url', 'ROLLCALL_URL') ?? DEFAULT_URL).split(',').map((entry) => entry.trim());
  for (const entry of urls) checkRegistryUrl(entry);
  const [url = DEFAULT_URL, ...otherUrls] = urls;
  const caFile = given('--ca-file', 'ROLLCALL_CA_FILE');
  const [certFile, keyFile] = [given('--cert-file', 'ROLLCALL_CERT_FILE'), given('--key-file', 'ROLLCALL_KEY_FILE')];
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const [set, missing] = certFile === undefined ? ['--key-file', '--cert-file'] : ['--cert-file', '--key-file'];
    throw new RollcallError('OPTION_INVALID', `${set} is there without ${missing}: set both, or neither.`);
  }
  const isAll = flags['--all-namespaces'] === true;
  if (isAll && flags['--namespace'] !== undefined)
    throw new RollcallError('OPTION_INVALID', '--all-namespaces and --namespace contradict each other: leave out one.');
  const namespace = isAll ? '*' : (flags['--namespace'] ?? DEFAULT_NAMESPACE);
  const { ROLLCALL_TOKEN: token } = parseOptions(ENVIRONMENT, { ROLLCALL_TOKEN: env['ROLLCALL_TOKEN'] || undefined });
  return { url, otherUrls, namespace, token, tls: { caFile, certFile, keyFile } };
}

const isSecure = ({ url }: Connection): boolean => /^https:/i.test(url);

/**
 * The registry that the flags, else the environment, name. Rejects with OPTION_INVALID, also for files that cannot be
 * used. Modules for TLS are loaded only if needed.
 */
export async function apiOf(flags: ConnectionFlags, env: Shell['env']): Promise<RegistryApi> {
  const connection = resolveConnection(flags, env);
  const { url, token, namespace } = connection;
  if (!isSecure(connection)) return new RegistryApi(url, { token, namespace, fetcher: plainFetch() });
  const [{ RegistryTls }, { Agent, request }] = await Promise.all([import('@rollcall/client'), import('node:https')]);
  const tls = new RegistryTls(connection.tls);
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  const fetcher: Fetcher = (target, init) => sendRequest(request, target, { agent, ...tls.options }, init);
  return new RegistryApi(url, { token, namespace, isShown: tls.isShown, fetcher });
}

/** The same registry's change feed. Rejects as `apiOf` does. */
export async function linkOf(flags: ConnectionFlags, env: Shell['env']): Promise<RegistryClient> {
  const connection = resolveConnection(flags, env);
  const { HttpRegistryClient, RegistryTls } = await import('@rollcall/client');
  const tls = isSecure(connection) ? { tls: new RegistryTls(connection.tls) } : {};
  return new HttpRegistryClient({ url: connection.url, time: systemTime, token: connection.token, ...tls });
}

/** The same registry as options of a client that calls services. Throws OPTION_INVALID. */
export function clientOptionsOf(flags: ConnectionFlags, env: Shell['env']): RollcallOptions {
  const connection = resolveConnection(flags, env);
  const { url: registry, token, namespace } = connection;
  return { registry, token, namespace, ...(isSecure(connection) ? { registryTls: connection.tls } : {}) };
}
