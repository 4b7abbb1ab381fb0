import { option } from '@rollcall/core';
import type { StartOptions } from '@rollcall/registry';
import { repeated, valued } from '../../terminal/arguments.js';
import type { Flag } from '../../terminal/arguments.js';

const count = (doc: string): Flag<number, undefined> =>
  valued(option.number({ doc, integer: true, min: 1, max: 1_000_000 }), '<n>');

/** Options of `rollcall up` for networks and limits. docs/OPTIONS.md has each option, and its default. */
export const LIMIT_FLAGS = {
  '--allow-network': repeated(
    option.list({
      doc: 'a network whose addresses may be registered, besides the own address of each service: 10.0.0.0/8; may be repeated',
      item: option.string({ doc: 'a network (CIDR)' }),
      default: [],
    }),
    '<network>',
  ),
  '--max-instances': count('how many instances may be registered; default 20000'),
  '--max-instances-per-source': count('of them from one address; default: half'),
  '--max-instances-per-service': count('of them of one service; default: half'),
  '--max-instances-per-token': count('of them with one token or certificate; default: half'),
  '--max-registrations-per-token': count('registrations with one token at once, and again as many a minute'),
  '--max-watchers': count('open change feeds and long polls, besides the stream of each instance; default 25000'),
  '--max-watchers-per-source': count('of them from one address; default: half'),
  '--max-calls': count('calls of Heartbeat-1 under way at the same time; default 2000'),
  '--max-connections': count('open connections at the port; default: what the open files (ulimit -n) leave'),
};

/** The given values; undefined: left out. */
type LimitFlags = { readonly '--allow-network': readonly string[] } & {
  readonly [Name in Exclude<keyof typeof LIMIT_FLAGS, '--allow-network'>]: number | undefined;
};

/** The options that were given. The registry rejects contradictions. */
export function limitsOf(flags: LimitFlags): Partial<StartOptions> {
  const numbers = {
    maxInstances: flags['--max-instances'],
    maxInstancesPerSource: flags['--max-instances-per-source'],
    maxInstancesPerService: flags['--max-instances-per-service'],
    maxInstancesPerToken: flags['--max-instances-per-token'],
    maxRegistrationsPerToken: flags['--max-registrations-per-token'],
    maxWatchers: flags['--max-watchers'],
    maxWatchersPerSource: flags['--max-watchers-per-source'],
    maxCalls: flags['--max-calls'],
    maxConnections: flags['--max-connections'],
  };
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  const allowedNetworks = flags['--allow-network'];
  return { ...(allowedNetworks.length > 0 && { allowedNetworks }), ...Object.fromEntries(given) };
}
