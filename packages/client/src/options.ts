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

/** Options of a client: a description of this process and its settings. Every field is optional. */
export interface RollcallOptions {
  /** URL of the registry, or 1 … 16 URLs of several: see `registryOrder`. Default `http://127.0.0.1:1337`. */
  readonly registry?: string | readonly string[] | undefined;
  /**
   * The order in which several registries are tried. `listed`, the default: the first that answers, so that all processes use the same one.
   * `random`: any of them, so that the load is distributed; only for replicas that share their data.
   */
  readonly registryOrder?: RegistryOrder | undefined;
  /**
   * An access token, if the registry requires one (`rollcall token create`): of the role service to register, of any role to find others.
   * It is sent to every registry of the option. Default: none.
   */
  readonly token?: string | undefined;
  /**
   * The CAs to trust for a registry at an `https://` URL, and the client certificate to present: `caFile`, `certFile`, `keyFile` (PEM
   * files, read again when they change) or `ca`, `cert`, `key` (PEM texts). Default: the CAs that Node trusts, and no certificate.
   */
  readonly registryTls?: RegistryTlsTerms | undefined;
  /**
   * A folder in which this process stores its copy of the catalog, for a start while no registry answers. It is created if it is missing.
   * Default: none, the copy is not stored.
   */
  readonly cache?: string | undefined;
  /** The name of this service, a DNS label. Without it, this process finds other services but does not register itself. */
  readonly service?: string | undefined;
  /** The namespace, a DNS label; names are unique within one. Default `default`. */
  readonly namespace?: string | undefined;
  /** The version of this service's code, at most 64 characters. Default: none. */
  readonly version?: string | undefined;
  /** The zone in which this process runs, a DNS label. Default: none. */
  readonly zone?: string | undefined;
  /** Its share of calls relative to the other instances, 0 … 1,000. Default 100. */
  readonly weight?: number | undefined;
  /** Free-form data about this instance: at most 64 keys, 4 KiB in total. Default: none. */
  readonly metadata?: Metadata | undefined;
  /**
   * The host at which other processes reach this one. Default: the address from which this process reaches the registry, as seen by the
   * registry.
   */
  readonly advertiseHost?: string | undefined;
  /** The time between two Heartbeats-2 until the registry sets it, 10 … 3,600,000 ms. Default 5,000. */
  readonly heartbeatIntervalMs?: number | undefined;
  /** The options of calls to other services. */
  readonly calls?: DeepPartial<CallOptions> | undefined;
}

/** The options as a user passes them: every field is optional. */
export type DeepPartial<Value> = Value extends readonly unknown[] | Balancing
  ? Value
  : Value extends object
    ? { readonly [Key in keyof Value]?: DeepPartial<Value[Key]> | undefined }
    : Value;

/** The table of options, from which the parser and docs/OPTIONS.md are derived. */
export const clientFields = {
  registry: option.value<string | readonly string[], string>({
    doc: 'URL of the registry, or a list of URLs.',
    allowed: `an http or https URL without user, query and fragment, or a list of 1 to ${MAX_REGISTRIES} of them, each once`,
    default: 'http://127.0.0.1:1337',
    is: isRegistry,
  }),
  registryOrder: option.oneOf(REGISTRY_ORDERS, {
    doc: 'The order in which several registries are tried: "listed" takes the first that answers, for independent registries; "random" takes any, for replicas of one registry.',
    default: 'listed',
  }),
  token: option.string({
    doc: 'An access token, if the registry requires one. As an environment variable: ROLLCALL_TOKEN.',
    ...ACCESS_TOKEN,
  }),
  registryTls: option.object(registryTlsFields, {
    doc: 'The CAs to trust for a registry over TLS, and the client certificate to present.',
    rules: registryTlsRules,
  }),
  cache: option.string({
    doc: 'A folder in which the copy of the catalog is stored for a start without a registry, for 24 h. Default: the copy is not stored.',
  }),
  service: option.string({
    doc: 'The name of this service. Without it, this process finds other services but does not register itself.',
    pattern: NAME_PATTERN,
    allowed: 'a DNS label: lower-case letters, digits and hyphens, at most 63',
  }),
  namespace: option.string({
    doc: 'The namespace; names are unique within one.',
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
    doc: 'The zone in which this service runs.',
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
    doc: 'Free-form data about this instance: at most 64 keys, 4 KiB in total.',
    item: option.string({ doc: 'A word.', pattern: /^/, allowed: 'a string' }),
    default: Object.freeze({}),
  }),
  advertiseHost: option.value<string>({
    doc: 'The host at which other processes reach this one. Default: the address from which this process reaches the registry, as seen by the registry.',
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
  calls: option.object(callFields, { doc: 'The options of calls to other services.' }),
};

export type ClientOptions = OptionsOf<typeof clientFields>;

/** Throws OPTION_INVALID with every flaw. */
export function parseClientOptions(options: unknown): ClientOptions {
  return parseOptions(clientFields, options);
}

/** The URLs as a list. */
export function registriesOf(registry: string | readonly string[]): readonly string[] {
  return typeof registry === 'string' ? [registry] : registry;
}

function isRegistry(received: unknown): received is string | readonly string[] {
  if (!Array.isArray(received)) return isRegistryUrl(received);
  const { length } = received;
  return length >= 1 && length <= MAX_REGISTRIES && received.every(isRegistryUrl) && new Set(received).size === length;
}
