import {
  noMeter,
  option,
  parseOptions,
  policyFields,
  policyRules,
  policyOf,
  silentLog,
  systemRandom,
  systemTime,
  tlsFields,
  tlsRules,
} from '@rollcall/core';
import type {
  DescribedOption,
  Log,
  Meter,
  OptionRule,
  OptionsOf,
  OptionSpec,
  Policy,
  Preset,
  Random,
  Thresholds,
  Time,
  TlsTerms,
} from '@rollcall/core';
import { DEFAULT_LIMITS } from '../instances/limits.js';
import type { Limits } from '../instances/limits.js';

import type { Store } from '../store/store.js';
import { registryTls, tlsOf } from './access/tls-options.js';
import type { RegistryTls } from './access/tls.js';
import { DEFAULT_HOST, DEFAULT_PORT } from './server.js';
import type { ServeOptions } from './server.js';

/** The options of a registry, all optional. */
export interface StartOptions
  extends Omit<ServeOptions, 'registry' | 'metrics' | 'tokens' | 'processFacts'>, Partial<Limits> {
  /**
   * A file of access tokens, made by `rollcall token create`: every request then needs one. It may change while the
   * registry runs. Default: tokens are not required.
   */
  readonly tokens?: string;
  /** A preset of intervalMs and timeoutMs, unless they are given. Default `default`: 5,000 and 2,000. */
  readonly preset?: Preset;
  /**
   * Time between two heartbeats in each direction, 10 … 3,600,000 ms: the unit of the thresholds. Default: the
   * preset's.
   */
  readonly intervalMs?: number;
  /**
   * How long a service may take to answer Heartbeat-1, 1 ms to 0.4 intervals. Default min(the preset's, 0.4 ×
   * intervalMs).
   */
  readonly timeoutMs?: number;
  /**
   * When an instance changes its state, in intervals; the meaning and range of each: docs/OPTIONS.md. Default: those of
   * the protocol.
   */
  readonly thresholds?: Partial<Thresholds>;
  /**
   * Every n-th heartbeat in each direction opens a connection, 1 … 1,000; the others reuse the last one. Default 1: all
   * open one.
   */
  readonly freshEvery?: number;
  /** Networks (`10.0.0.0/8`) that may be registered besides the source address of a registration. Default none. */
  readonly allowedNetworks?: readonly string[];
  /**
   * TLS of Heartbeat-1: how services prove their identity to the registry, and it to them. Default: the CAs that Node
   * trusts.
   */
  readonly heartbeatTls?: TlsTerms;
  /**
   * The store, whose content survives the registry: `diskStore({ folder })`. Default: memory, which does not survive.
   */
  readonly store?: Store;
  /** A meter that counts besides `GET /metrics`. Default: none. */
  readonly meter?: Meter;
  readonly random?: Random;
}

const MAX = 1_000_000;
const MIN_PER_TOKEN = 200;
/** Watchers per instance that may be registered: its own line, and some watch streams. */
const WATCHERS_RATIO = DEFAULT_LIMITS.maxWatchers / DEFAULT_LIMITS.maxInstances;

/** A limit without a default of its own: if omitted, it follows another limit. */
const limit = (doc: string): OptionSpec<number, undefined> => option.number({ doc, integer: true, min: 1, max: MAX });

const limitFields = {
  maxInstances: option.number({
    doc: 'How many instances may be registered; more are refused with 429.',
    default: DEFAULT_LIMITS.maxInstances,
    integer: true,
    min: 1,
    max: MAX,
  }),
  maxInstancesPerSource: limit(
    'The same for registrations from one address (of IPv6: one /64), which may also register no more new ones a minute than this, or 100. At most, and by default half of, maxInstances.',
  ),
  maxInstancesPerService: limit('The same for one service. At most, and by default half of, maxInstances.'),
  maxInstancesPerToken: limit(
    'The same for one access token, or certificate, where those are asked for. At most, and by default half of, maxInstances.',
  ),
  maxRegistrationsPerToken: limit(
    'How many registrations one access token may send at once, and again as many a minute, of known instances too; more are refused with 429. Default max(200, 2 × maxInstancesPerToken).',
  ),
  maxWatchers: limit(
    'How many change feeds and long polls may be open, besides the line of each instance; more are refused with 429. Default max(25000, 1.25 × maxInstances), and at most three quarters of maxConnections.',
  ),
  maxWatchersPerSource: limit('The same for one address. At most, and by default half of, maxWatchers.'),
  maxCalls: option.number({
    doc: 'How many Heartbeat-1 calls may be under way at the same time; further calls wait, which does not count against their instances.',
    default: DEFAULT_LIMITS.maxCalls,
    integer: true,
    min: 1,
    max: 100_000,
  }),
} satisfies Record<keyof Limits, OptionSpec<number, number | undefined>>;

/** One table for the parser and docs/OPTIONS.md. */
export const registryFields = {
  port: option.number({
    doc: 'The port of the API, the change feed and all else that the registry serves; 0 is any free one.',
    default: DEFAULT_PORT,
    integer: true,
    min: 0,
    max: 65_535,
  }),
  host: option.string({
    doc: 'The address to listen on. Anything but loopback needs `tokens`, `tls.caFile`, or `insecure`.',
    default: DEFAULT_HOST,
  }),
  insecure: option.boolean({
    doc: 'Accepts that, without tokens and certificates, every client that reaches the port may register, read and remove. Repeated in the log and in /api/v1/registry.',
    default: false,
  }),
  tokens: option.string({
    doc: 'A file of access tokens, made by `rollcall token create`: every request then needs one. It may change while the registry runs. Default: tokens are not required.',
  }),
  tls: registryTls,
  names: option.list({
    doc: 'Host names, besides localhost and `host`, by which clients reach the registry; others are refused (DNS rebinding).',
    item: option.string({ doc: 'a host name' }),
    default: [],
  }),
  ...policyFields,
  freshEvery: option.number({
    doc: 'Every n-th heartbeat in each direction opens a connection of its own; the others reuse the last one. 1: all open one. With n, a path that accepts no new connections while the old one lives is noticed up to n − 1 intervals later.',
    default: 1,
    integer: true,
    min: 1,
    max: 1_000,
  }),
  allowedNetworks: option.list({
    doc: 'Networks (CIDR) that may be registered besides the source address of a registration. A network that contains loopback, link-local, documentation or NAT64 ranges or the metadata addresses of clouds does not include them: list those separately. Addresses that are not hosts (0.0.0.0/8, multicast, broadcast) are never called.',
    item: option.string({
      doc: 'a network',
      pattern: /^[0-9a-f.:]+\/\d{1,3}$/i,
      allowed: 'a network such as 10.0.0.0/8',
    }),
    default: [],
  }),
  ...limitFields,
  maxConnections: limit(
    'How many connections may be open at the port: beyond it connections without a request under way are closed, the oldest first, of the address with most of them. Default: what the open files (ulimit -n) leave beside Heartbeat-1; no limit if that is not known.',
  ),
  heartbeatTls: option.object(tlsFields, {
    doc: 'TLS of Heartbeat-1: how services prove their identity to the registry, and the registry to them.',
    rules: tlsRules,
  }),
  store: option.value({
    doc: 'The store, whose content survives the registry: `diskStore({ folder })`. Default: memory, which does not survive.',
    allowed: 'a Store',
    is: isPort<Store>,
  }),
  log: option.value({
    doc: 'Receives the log. Default: none.',
    allowed: 'a Log',
    default: silentLog,
    is: isPort<Log>,
  }),
  meter: option.value({
    doc: 'A meter that counts besides GET /metrics. Default: none.',
    allowed: 'a Meter',
    default: noMeter,
    is: isPort<Meter>,
  }),
  time: option.value({ doc: 'The clock. For tests.', allowed: 'a Time', default: systemTime, is: isPort<Time> }),
  random: option.value({
    doc: 'The source of randomness. For tests.',
    allowed: 'a Random',
    default: systemRandom,
    is: isPort<Random>,
  }),
};

type Parsed = OptionsOf<typeof registryFields>;

/** All options, valid by themselves and together, and the values derived from them. */
export interface Settings extends Omit<Parsed, keyof Limits | keyof typeof policyFields | 'tls'> {
  /** Undefined: plain HTTP. */
  readonly tls: RegistryTls | undefined;
  readonly policy: Policy;
  readonly limits: Limits;
}

const RULES: readonly OptionRule<Parsed>[] = [
  notBoth,
  ...policyRules,
  partOf('maxInstancesPerSource', 'maxInstances'),
  partOf('maxInstancesPerService', 'maxInstances'),
  partOf('maxInstancesPerToken', 'maxInstances'),
  partOf('maxWatchersPerSource', 'maxWatchers'),
];

/** Throws OPTION_INVALID that names every flaw. */
export function parseStartOptions(options: StartOptions): Settings {
  const parsed = parseOptions(registryFields, options, RULES);
  return { ...parsed, tls: tlsOf(parsed.tls), policy: policyOf(parsed), limits: limitsOf(parsed) };
}

const isSet = (options: object, name: string): boolean => Reflect.get(options, name) !== undefined;

/** The value of each option and its source, for operators. Ports, which only programs pass, are left out. */
export function describeOptions(
  requested: StartOptions,
  settings: Settings,
): Readonly<Record<string, DescribedOption>> {
  const { policy, limits, port, host, insecure, names, allowedNetworks, freshEvery } = settings;
  // without the path of the file
  const tokens = settings.tokens === undefined ? 'not asked for' : 'asked for';
  const tls = tlsText(settings);
  const { intervalMs, timeoutMs, ...thresholds } = policy;
  const { preset = 'default' } = requested;
  const flat = {
    port,
    host,
    insecure,
    tokens,
    tls,
    names,
    preset,
    intervalMs,
    timeoutMs,
    freshEvery,
    allowedNetworks,
    ...limits,
    ...(settings.maxConnections === undefined ? {} : { maxConnections: settings.maxConnections }),
  };
  const described: Record<string, DescribedOption> = {};
  for (const [name, value] of Object.entries(flat)) {
    const isExplicit = isSet(requested, name);
    const isPreset = requested.preset !== undefined && (name === 'intervalMs' || name === 'timeoutMs');
    described[name] = { value, source: isExplicit ? 'option' : isPreset ? 'preset' : 'default' };
  }
  for (const [name, value] of Object.entries(thresholds)) {
    const isExplicit = isSet(requested.thresholds ?? {}, name);
    described[`thresholds.${name}`] = { value, source: isExplicit ? 'option' : 'default' };
  }
  return described;
}

/**
 * By default one source, one service and one token may use half of each limit, so that none of them shuts the others
 * out.
 */
function limitsOf(parsed: Parsed): Limits {
  const { maxInstances, maxCalls } = parsed;
  const forAll = Math.min(MAX, Math.ceil(WATCHERS_RATIO * maxInstances));
  const { maxWatchers = Math.max(DEFAULT_LIMITS.maxWatchers, forAll) } = parsed;
  const { maxInstancesPerToken = half(maxInstances) } = parsed;
  return {
    maxInstances,
    maxInstancesPerSource: parsed.maxInstancesPerSource ?? half(maxInstances),
    maxInstancesPerService: parsed.maxInstancesPerService ?? half(maxInstances),
    maxInstancesPerToken,
    maxRegistrationsPerToken: parsed.maxRegistrationsPerToken ?? registrationsFor(maxInstancesPerToken),
    maxWatchers,
    maxWatchersPerSource: parsed.maxWatchersPerSource ?? half(maxWatchers),
    maxCalls,
  };
}

function tlsText({ tls }: Pick<Settings, 'tls'>): string {
  if (tls === undefined) return 'no';
  const rules =
    tls.certificates === undefined || tls.certificates.length === 0
      ? ''
      : `, ${tls.certificates.length} rules for certificates of others`;
  return tls.caFile === undefined ? 'yes' : `yes, clients are asked for certificates${rules}`;
}

/** Rejects contradictory options instead of guessing which one is meant. */
function notBoth({ insecure, tokens, tls }: Parsed): string | null {
  if (insecure && tls.caFile !== undefined)
    return 'insecure true and tls.caFile contradict each other: leave out insecure, or caFile.';
  if (!insecure || tokens === undefined) return null;
  return 'insecure true and tokens contradict each other: leave out insecure, or tokens.';
}

/** Twice the instances of a token a minute; at least enough for restarts during development. */
const registrationsFor = (held: number): number => Math.min(MAX, Math.max(MIN_PER_TOKEN, 2 * held));

const half = (count: number): number => Math.max(1, Math.floor(count / 2));

function partOf(part: keyof Limits, all: keyof Limits): OptionRule<Parsed> {
  return (parsed) => {
    const limits = limitsOf(parsed);
    if (limits[part] <= limits[all]) return null;
    return `${part} ${limits[part]} is more than ${all} ${limits[all]}: choose at most ${limits[all]}, or raise ${all}.`;
  };
}

/** TypeScript checks the types of ports; this only checks that something was passed. */
function isPort<Port>(received: unknown): received is Port {
  return typeof received === 'object' && received !== null;
}
