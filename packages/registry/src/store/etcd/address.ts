import { isHost, isLoopback, RollcallError } from '@rollcall/core';

/** Where one member listens. IPv6 hosts without brackets. */
export interface MemberAddress {
  readonly host: string;
  readonly port: number;
}

/** The parts of an address of the store. */
export interface StoreAddress {
  readonly isSecure: boolean;
  readonly members: readonly MemberAddress[];
  /** The prefix of all keys; ends with a slash. */
  readonly prefix: string;
}

const DEFAULT_PORT = 2379;
const DEFAULT_PREFIX = '/rollcall/';
const MAX_MEMBERS = 16;
const ADDRESS = /^(etcds?):\/\/([^/?#@]+)(\/[\w./-]*)?$/;
const MEMBER = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::(\d{1,5}))?$/;

/**
 * Reads `etcd://e1:2379,e2:2379/prefix`, or `etcds://` for TLS. Default port 2379, default prefix `/rollcall/`. A store
 * in the clear must be on loopback unless `insecure` is true: everything in it, also secrets of instances, and its
 * password pass over the network. Throws OPTION_INVALID.
 */
export function parseStoreAddress(text: string, insecure = false): StoreAddress {
  const [, scheme, list, path = ''] = ADDRESS.exec(text) ?? [];
  if (scheme === undefined || list === undefined) {
    throw invalid(
      `store: expected etcd://host:port,host:port/prefix or etcds://…, without a user; received ${show(text)}.`,
    );
  }
  const members = list.split(',').map((part) => memberOf(part));
  if (members.length > MAX_MEMBERS) throw invalid(`store: names ${members.length} members; at most ${MAX_MEMBERS}.`);
  const isSecure = scheme === 'etcds';
  const open = isSecure || insecure ? undefined : members.find(({ host }) => !isLoopback(host));
  if (open !== undefined) {
    const what = `store: ${show(open.host)} is not on loopback, and etcd:// sends secrets in the clear.`;
    throw invalid(`${what} Use etcds://, or set insecure: true if the network is trusted.`);
  }
  const prefix = path === '' || path === '/' ? DEFAULT_PREFIX : `${path.replace(/\/+$/, '')}/`;
  return { isSecure, members, prefix };
}

function memberOf(part: string): MemberAddress {
  const [, host = '', port = String(DEFAULT_PORT)] = MEMBER.exec(part) ?? [];
  const bare = host.replace(/^\[|\]$/g, '');
  if (!isHost(bare) || Number(port) < 1 || Number(port) > 65_535) {
    throw invalid(`store: ${show(part)} is not a member: expected host:port, such as e1:2379 or [::1]:2379.`);
  }
  return { host: bare, port: Number(port) };
}

/** For texts: `e1:2379`, `[::1]:2379`. */
export const textOf = ({ host, port }: MemberAddress): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

/** A message must not contain a user and a password from the address. */
const show = (text: string): string => JSON.stringify(text.replace(/\/\/[^/]*@/, '//…@').slice(0, 200));
const invalid = (text: string): RollcallError => new RollcallError('OPTION_INVALID', text);
