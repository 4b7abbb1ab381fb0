import { DEFAULT_NAMESPACE, DEFAULT_WEIGHT, isHost, NAME_PATTERN, option, parseOptions } from '@rollcall/core';
import type { Metadata, OptionsOf } from '@rollcall/core';
import { callFields } from './call-options.js';
import type { CallOptions } from './call-options.js';

/** What a process says about itself and how it wants to be treated. Everything may be left out. */
export interface RollcallOptions {
  /** URL of the registry. Default `http://127.0.0.1:1337`. */
  readonly registry?: string | undefined;
  /** The name of this service, a DNS label. Left out, this process finds others and is not found itself. */
  readonly service?: string | undefined;
  /** Names are unique within one; a DNS label. Default `default`. */
  readonly namespace?: string | undefined;
  /** The version of this service's code, at most 64 characters. Default: not told. */
  readonly version?: string | undefined;
  /** Where it runs, a DNS label. Default: not told. */
  readonly zone?: string | undefined;
  /** Its share of calls relative to the other instances, 0 … 1,000. Default 100. */
  readonly weight?: number | undefined;
  /** Free words about this instance: at most 64 keys, 4 KiB in all. Default none. */
  readonly metadata?: Metadata | undefined;
  /** The host at which others reach this process. Default: the address from which it reaches the registry, as that sees it. */
  readonly advertiseHost?: string | undefined;
  /** Between two Heartbeats-2 until the registry has said what it wants, 10 … 3,600,000 ms. Default 5,000. */
  readonly heartbeatIntervalMs?: number | undefined;
  /** How calls to other services are treated. */
  readonly calls?: Loose<CallOptions> | undefined;
}

/** The options as they are given: everything in them may be left out. */
type Loose<Value> = Value extends readonly unknown[]
  ? Value
  : Value extends object
    ? { readonly [Key in keyof Value]?: Loose<Value[Key]> | undefined }
    : Value;

/** One table for the parser and docs/OPTIONS.md. */
export const clientFields = {
  registry: option.value<string, string>({
    doc: 'URL of the registry.',
    allowed: 'an http or https URL without user, query and fragment',
    default: 'http://127.0.0.1:1337',
    is: isRegistryUrl,
  }),
  service: option.string({
    doc: 'The name of this service. Left out, this process finds others and is not found itself.',
    pattern: NAME_PATTERN,
    allowed: 'a DNS label: lower-case letters, digits and hyphens, at most 63',
  }),
  namespace: option.string({
    doc: 'Names are unique within one.',
    default: DEFAULT_NAMESPACE,
    pattern: NAME_PATTERN,
    allowed: 'a DNS label: lower-case letters, digits and hyphens, at most 63',
  }),
  version: option.string({
    doc: 'The version of this service’s code.',
    default: '',
    pattern: /^[^\p{C}]{0,64}$/u,
    allowed: 'at most 64 characters on one line',
  }),
  zone: option.string({
    doc: 'Where this service runs.',
    default: '',
    pattern: new RegExp(`^$|${NAME_PATTERN.source}`),
    allowed: 'a DNS label, or empty',
  }),
  weight: option.number({
    doc: 'Its share of calls relative to the other instances.',
    default: DEFAULT_WEIGHT,
    min: 0,
    max: 1_000,
    integer: true,
  }),
  metadata: option.record({
    doc: 'Free words about this instance: at most 64 keys, 4 KiB in all.',
    item: option.string({ doc: 'A word.', pattern: /^/, allowed: 'a string' }),
    default: Object.freeze({}),
  }),
  advertiseHost: option.value<string>({
    doc: 'The host at which others reach this process. Default: the address from which it reaches the registry, as that sees it.',
    allowed: 'an IP address or a host name, without port',
    is: (received): received is string => typeof received === 'string' && received !== '' && isHost(received),
  }),
  heartbeatIntervalMs: option.number({
    doc: 'Between two Heartbeats-2 until the registry has said what it wants.',
    default: 5_000,
    min: 10,
    max: 3_600_000,
    unit: 'ms',
    integer: true,
  }),
  calls: option.object(callFields, { doc: 'How calls to other services are treated.' }),
};

export type ClientOptions = OptionsOf<typeof clientFields>;

/** Throws OPTION_INVALID that names everything that is wrong. */
export function parseClientOptions(options: unknown): ClientOptions {
  return parseOptions(clientFields, options);
}

function isRegistryUrl(received: unknown): received is string {
  if (typeof received !== 'string' || !URL.canParse(received)) return false;
  const { protocol, username, password, search, hash } = new URL(received);
  return (protocol === 'http:' || protocol === 'https:') && username + password + search + hash === '';
}
