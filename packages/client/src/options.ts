import {
  ACCESS_TOKEN,
  DEFAULT_NAMESPACE,
  DEFAULT_WEIGHT,
  isHost,
  isRegistryUrl,
  NAME_PATTERN,
  option,
  parseOptions,
} from '@rollcall/core';
import type { Metadata, OptionsOf } from '@rollcall/core';
import type { Balancing } from './balance/balancers.js';
import { callFields } from './call/policy/service-options.js';
import type { CallOptions } from './call/policy/service-options.js';
import { MAX_REGISTRIES, REGISTRY_ORDERS } from './registry-client/registry-order.js';
import type { RegistryOrder } from './registry-client/registry-order.js';
import { registryTlsFields, registryTlsRules } from './registry-client/tls.js';
import type { RegistryTlsTerms } from './registry-client/tls.js';

/** The description of a process, and how it is treated. Every field is optional. */
export interface RollcallOptions {
  /** URL of the registry, or of several, 1 … 16: see `registryOrder`. Default `http://127.0.0.1:1337`. */
  readonly registry?: string | readonly string[] | undefined;
  /**
   * Which of several registries is used. `listed`, the default: the first that is there, so that all processes meet. `random`: each
   * process any of them, so that the load spreads; only for replicas that share what they know.
   */
  readonly registryOrder?: RegistryOrder | undefined;
  /**
   * An access token, where the registry asks for one (`rollcall token create`): of the role service to register, of any role to find
   * others. It goes to every registry of the option. Default: none.
   */
  readonly token?: string | undefined;
  /**
   * The CAs to trust for a registry at an `https://` URL, and the certificate to present there: `caFile`, `certFile`, `keyFile` (PEM files,
   * read again when they have changed) or `ca`, `cert`, `key` (their texts). Default: the CAs that Node trusts, and no certificate.
   */
  readonly registryTls?: RegistryTlsTerms | undefined;
  /**
   * A folder in which this process keeps what it knows of other services, for a start while no registry is there: it is made when it
   * is missing. Default: none, nothing is kept.
   */
  readonly cache?: string | undefined;
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
  /** Free texts about this instance: at most 64 keys, 4 KiB in all. Default none. */
  readonly metadata?: Metadata | undefined;
  /** The host at which others reach this process. Default: the address from which it reaches the registry, as that sees it. */
  readonly advertiseHost?: string | undefined;
  /** The time between two Heartbeats-2 until the registry sets it, 10 … 3,600,000 ms. Default 5,000. */
  readonly heartbeatIntervalMs?: number | undefined;
  /** How calls to other services are treated. */
  readonly calls?: DeepPartial<CallOptions> | undefined;
}

/** The options as they are given: every field is optional. */
export type DeepPartial<Value> = Value extends readonly unknown[] | Balancing
  ? Value
  : Value extends object
    ? { readonly [Key in keyof Value]?: DeepPartial<Value[Key]> | undefined }
    : Value;

/** One table for the parser and docs/OPTIONS.md. */
export const clientFields = {
  registry: option.value<string | readonly string[], string>({
    doc: 'URL of the registry, or of several.',
    allowed: `an http or https URL without user, query and fragment, or a list of 1 to ${MAX_REGISTRIES} of them, each once`,
    default: 'http://127.0.0.1:1337',
    is: isRegistry,
  }),
  registryOrder: option.oneOf(REGISTRY_ORDERS, {
    doc: 'Which of several registries is used: "listed" the first that is there, for registries that know nothing of each other; "random" any, for replicas of one.',
    default: 'listed',
  }),
  token: option.string({
    doc: 'An access token, where the registry asks for one. In the environment: ROLLCALL_TOKEN.',
    ...ACCESS_TOKEN,
  }),
  registryTls: option.object(registryTlsFields, {
    doc: 'Whom to trust as a registry over TLS, and what to show it.',
    rules: registryTlsRules,
  }),
  cache: option.string({
    doc: 'A folder in which what is known of other services is kept for a start without a registry, for 24 h. Left out, nothing is kept.',
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
    doc: 'Free texts about this instance: at most 64 keys, 4 KiB in all.',
    item: option.string({ doc: 'A word.', pattern: /^/, allowed: 'a string' }),
    default: Object.freeze({}),
  }),
  advertiseHost: option.value<string>({
    doc: 'The host at which others reach this process. Default: the address from which it reaches the registry, as that sees it.',
    allowed: 'an IP address or a host name, without port',
    is: (received): received is string => typeof received === 'string' && received !== '' && isHost(received),
  }),
  heartbeatIntervalMs: option.number({
    doc: 'The time between two Heartbeats-2 until the registry sets it.',
    default: 5_000,
    min: 10,
    max: 3_600_000,
    unit: 'ms',
    integer: true,
  }),
  calls: option.object(callFields, { doc: 'How calls to other services are treated.' }),
};

export type ClientOptions = OptionsOf<typeof clientFields>;

/** Throws OPTION_INVALID that names every flaw. */
export function parseClientOptions(options: unknown): ClientOptions {
  return parseOptions(clientFields, options);
}

/** The URLs, whether it is one or several. */
export function registriesOf(registry: string | readonly string[]): readonly string[] {
  return typeof registry === 'string' ? [registry] : registry;
}

function isRegistry(received: unknown): received is string | readonly string[] {
  if (!Array.isArray(received)) return isRegistryUrl(received);
  const { length } = received;
  return length >= 1 && length <= MAX_REGISTRIES && received.every(isRegistryUrl) && new Set(received).size === length;
}
