import {
  noMeter,
  option,
  parseOptions,
  policyFields,
  policyLaws,
  policyOf,
  silentLog,
  systemRandom,
  systemTime,
  tlsFields,
  tlsLaws,
} from '@rollcall/core';
import type {
  Log,
  Meter,
  OptionLaw,
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
import type { DescribedOption } from '../registry-api.js';
import type { Store } from '../store/store.js';
import { registryTls, tlsOf } from './access/tls-options.js';
import type { RegistryTls } from './access/tls.js';
import { DEFAULT_HOST, DEFAULT_PORT } from './server.js';
import type { ServeOptions } from './server.js';

/** How a registry is started. Everything may be left out. */
export interface StartOptions
  extends Omit<ServeOptions, 'registry' | 'metrics' | 'tokens' | 'processFacts'>, Partial<Limits> {
  /**
   * A file of access tokens, which `rollcall token create` makes: every request then needs one. It may change while the registry
   * runs. Default: none are asked for.
   */
  readonly tokens?: string;
  /** How patient it is: intervalMs and timeoutMs, unless they are given. Default `default`: 5,000 and 2,000. */
  readonly preset?: Preset;
  /** Between two heartbeats of each direction, 10 … 3,600,000 ms: the thresholds are counted in it. Default: the preset's. */
  readonly intervalMs?: number;
  /** How long a service may take to answer Heartbeat-1, 1 ms to 0.4 intervals. Default min(the preset's, 0.4 × intervalMs). */
  readonly timeoutMs?: number;
  /** When an instance changes its state, in intervals; what each does and may be: docs/OPTIONS.md. Default: as the protocol says. */
  readonly thresholds?: Partial<Thresholds>;
  /** Every n-th heartbeat of each direction opens a connection of its own, 1 … 1,000; the others keep the last. Default 1: all do. */
  readonly freshEvery?: number;
  /** Networks (`10.0.0.0/8`) that may be registered besides the address from which a registration comes. Default none. */
  readonly allowedNetworks?: readonly string[];
  /** How services over TLS prove who they are, and we to them, when Heartbeat-1 calls them. Default: by whom Node trusts. */
  readonly heartbeatTls?: TlsTerms;
  /** What survives the registry: `diskStore({ folder })`. Default: memory, which does not. */
  readonly store?: Store;
  /** Where it counts besides `GET /metrics`. Default: nowhere else. */
  readonly meter?: Meter;
  readonly random?: Random;
}

const MOST = 1_000_000;
const LEAST_PACE = 200;
/** Watchers for each instance that may be registered: its own line, and some who only look. */
const WATCHERS_RATIO = DEFAULT_LIMITS.maxWatchers / DEFAULT_LIMITS.maxInstances;

/** A limit that follows another one where it is left out has no default of its own. */
const limit = (doc: string): OptionSpec<number, undefined> => option.number({ doc, integer: true, min: 1, max: MOST });

const limitFields = {
  maxInstances: option.number({
    doc: 'How many instances may be registered; more are refused with 429.',
    default: DEFAULT_LIMITS.maxInstances,
    integer: true,
    min: 1,
    max: MOST,
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
    doc: 'How many Heartbeat-1 calls may be under way at the same time; the others wait, and nobody is blamed for it.',
    default: DEFAULT_LIMITS.maxCalls,
    integer: true,
    min: 1,
    max: 100_000,
  }),
} satisfies Record<keyof Limits, OptionSpec<number, number | undefined>>;

/** One table for the parser and docs/OPTIONS.md. */
export const registryFields = {
  port: option.number({
    doc: 'The port of the API, the change feed and all else that the registry shows; 0 is any free one.',
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
    doc: 'Without tokens and certificates whoever reaches the port may register, read and remove, and this is meant. Repeated in the log and in /api/v1/registry.',
    default: false,
  }),
  tokens: option.string({
    doc: 'A file of access tokens, which `rollcall token create` makes: every request then needs one. It may change while the registry runs. Default: none are asked for.',
  }),
  tls: registryTls,
  names: option.list({
    doc: 'Host names, besides localhost and `host`, by which clients reach the registry; others are refused (DNS rebinding).',
    item: option.string({ doc: 'a host name' }),
    default: [],
  }),
  ...policyFields,
  freshEvery: option.number({
    doc: 'Every n-th heartbeat of each direction opens a connection of its own; the others go over the last one. 1: all do. With n, a way that takes no new connection, while the old one lives, is noticed up to n − 1 intervals later.',
    default: 1,
    integer: true,
    min: 1,
    max: 1_000,
  }),
  allowedNetworks: option.list({
    doc: 'Networks (CIDR) that may be registered besides the address from which a registration comes. One that is wider than loopback, link-local, documentation and NAT64 ranges or the metadata addresses of clouds does not reach into them: name those themselves. What is no host (0.0.0.0/8, multicast, broadcast) is never called.',
    item: option.string({
      doc: 'a network',
      pattern: /^[0-9a-f.:]+\/\d{1,3}$/i,
      allowed: 'a network such as 10.0.0.0/8',
    }),
    default: [],
  }),
  ...limitFields,
  maxConnections: limit(
    'How many connections may be open at the port: beyond it those are closed that ask nothing, the oldest first, of the address that has most of them. Default: what the open files (ulimit -n) leave beside Heartbeat-1; where that is not known, no bound.',
  ),
  heartbeatTls: option.object(tlsFields, {
    doc: 'How services over TLS prove who they are, and the registry to them, when Heartbeat-1 calls them.',
    laws: tlsLaws,
  }),
  store: option.value({
    doc: 'What survives the registry: `diskStore({ folder })`. Default: memory, which does not.',
    allowed: 'a Store',
    is: isPort<Store>,
  }),
  log: option.value({
    doc: 'Who is told what happens. Default: nobody.',
    allowed: 'a Log',
    default: silentLog,
    is: isPort<Log>,
  }),
  meter: option.value({
    doc: 'Where it counts besides GET /metrics. Default: nowhere else.',
    allowed: 'a Meter',
    default: noMeter,
    is: isPort<Meter>,
  }),
  time: option.value({ doc: 'The clock. For tests.', allowed: 'a Time', default: systemTime, is: isPort<Time> }),
  random: option.value({ doc: 'Chance. For tests.', allowed: 'a Random', default: systemRandom, is: isPort<Random> }),
};

type Parsed = OptionsOf<typeof registryFields>;

/** Every option, right by itself and with the others, and what they make together. */
export interface Settings extends Omit<Parsed, keyof Limits | keyof typeof policyFields | 'tls'> {
  /** Undefined: plain HTTP. */
  readonly tls: RegistryTls | undefined;
  readonly policy: Policy;
  readonly limits: Limits;
}

const LAWS: readonly OptionLaw<Parsed>[] = [
  notBoth,
  ...policyLaws,
  partOf('maxInstancesPerSource', 'maxInstances'),
  partOf('maxInstancesPerService', 'maxInstances'),
  partOf('maxInstancesPerToken', 'maxInstances'),
  partOf('maxWatchersPerSource', 'maxWatchers'),
];

/** Throws OPTION_INVALID that names every flaw. */
export function parseStartOptions(options: StartOptions): Settings {
  const parsed = parseOptions(registryFields, options, LAWS);
  return { ...parsed, tls: tlsOf(parsed.tls), policy: policyOf(parsed), limits: limitsOf(parsed) };
}

const isSaid = (options: object, name: string): boolean => Reflect.get(options, name) !== undefined;

/** What each option comes to, and where that is from: for people. What only programs hand in (ports) is left out. */
export function describeOptions(asked: StartOptions, settings: Settings): Readonly<Record<string, DescribedOption>> {
  const { policy, limits, port, host, insecure, names, allowedNetworks, freshEvery } = settings;
  // not where they are kept
  const tokens = settings.tokens === undefined ? 'not asked for' : 'asked for';
  const tls = tlsText(settings);
  const { intervalMs, timeoutMs, ...thresholds } = policy;
  const { preset = 'default' } = asked;
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
    const isAsked = isSaid(asked, name);
    const isPreset = asked.preset !== undefined && (name === 'intervalMs' || name === 'timeoutMs');
    described[name] = { value, source: isAsked ? 'option' : isPreset ? 'preset' : 'default' };
  }
  for (const [name, value] of Object.entries(thresholds)) {
    const isAsked = isSaid(asked.thresholds ?? {}, name);
    described[`thresholds.${name}`] = { value, source: isAsked ? 'option' : 'default' };
  }
  return described;
}

/** One source, one service and one token may have half of everything where nothing else was said: no single one shuts the others out. */
function limitsOf(parsed: Parsed): Limits {
  const { maxInstances, maxCalls } = parsed;
  const forAll = Math.min(MOST, Math.ceil(WATCHERS_RATIO * maxInstances));
  const { maxWatchers = Math.max(DEFAULT_LIMITS.maxWatchers, forAll) } = parsed;
  const { maxInstancesPerToken = half(maxInstances) } = parsed;
  return {
    maxInstances,
    maxInstancesPerSource: parsed.maxInstancesPerSource ?? half(maxInstances),
    maxInstancesPerService: parsed.maxInstancesPerService ?? half(maxInstances),
    maxInstancesPerToken,
    maxRegistrationsPerToken: parsed.maxRegistrationsPerToken ?? paceOf(maxInstancesPerToken),
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

/** Open and not open: whoever says both means one of them, and it is not ours to guess which. */
function notBoth({ insecure, tokens, tls }: Parsed): string | null {
  if (insecure && tls.caFile !== undefined)
    return 'insecure true and tls.caFile contradict each other: leave out insecure, or caFile.';
  if (!insecure || tokens === undefined) return null;
  return 'insecure true and tokens contradict each other: leave out insecure, or tokens.';
}

/** All that a token holds twice a minute; where that is little, still a development's restarts. */
const paceOf = (held: number): number => Math.min(MOST, Math.max(LEAST_PACE, 2 * held));

const half = (count: number): number => Math.max(1, Math.floor(count / 2));

function partOf(part: keyof Limits, all: keyof Limits): OptionLaw<Parsed> {
  return (parsed) => {
    const limits = limitsOf(parsed);
    if (limits[part] <= limits[all]) return null;
    return `${part} ${limits[part]} is more than ${all} ${limits[all]}: choose at most ${limits[all]}, or raise ${all}.`;
  };
}

/** Ports are TypeScript's to check; here only that something was handed in. */
function isPort<Port>(received: unknown): received is Port {
  return typeof received === 'object' && received !== null;
}
