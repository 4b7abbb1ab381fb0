import { DEFAULT_POLICY, noMeter, option, parseOptions, silentLog, systemRandom, systemTime } from '@rollcall/core';
import type { Log, Meter, OptionLaw, OptionsOf, Policy, Random, Time } from '@rollcall/core';
import { lookup } from 'node:dns/promises';
import { HttpCaller } from '../caller/http.js';
import { TcpCaller } from '../caller/tcp.js';
import { Registry } from '../registry.js';
import { DEFAULT_LIMITS } from '../limits.js';
import type { Limits } from '../limits.js';
import { MemoryStore } from '../store/memory.js';
import type { Store } from '../store/store.js';
import { isWildcard } from './listen.js';
import { DEFAULT_HOST, DEFAULT_PORT, serveRegistry } from './server.js';
import type { ServeOptions } from './server.js';

/** How a registry is started. Everything may be left out. */
export interface StartOptions extends Omit<ServeOptions, 'registry'> {
  /** Between two heartbeats of each direction, 10 … 3,600,000 ms: every threshold of docs/STATES.md is counted in it. Default 5,000. */
  readonly intervalMs?: number;
  /** How long a service may take to answer Heartbeat-1, from 1 ms to 0.4 intervals. Default min(2,000, 0.4 × intervalMs). */
  readonly timeoutMs?: number;
  /** Networks (`10.0.0.0/8`) that may be registered besides the address from which a registration comes. Default none. */
  readonly allowedNetworks?: readonly string[];
  /** How many instances may be registered, 1 … 1,000,000; more are refused with 429. Default 20,000. */
  readonly maxInstances?: number;
  /** What survives the registry: `diskStore({ folder })`. Default: memory, which does not. */
  readonly store?: Store;
  /** Where it counts. Default: nowhere. */
  readonly meter?: Meter;
  readonly random?: Random;
}

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
    doc: 'The address to listen on. Anything but loopback needs `insecure`.',
    default: DEFAULT_HOST,
  }),
  insecure: option.boolean({
    doc: 'Whoever reaches the port may register, read and remove: there are no tokens yet. Repeated in the log and in /api/v1/registry.',
    default: false,
  }),
  names: option.list({
    doc: 'Host names, besides localhost and `host`, by which clients reach the registry; others are refused (DNS rebinding).',
    item: option.string({ doc: 'a host name' }),
    default: [],
  }),
  intervalMs: option.number({
    doc: 'Between two heartbeats of each direction. Every threshold of docs/STATES.md is counted in it.',
    unit: 'ms',
    default: DEFAULT_POLICY.intervalMs,
    integer: true,
    min: 10,
    max: 3_600_000,
  }),
  timeoutMs: option.number({
    doc: 'How long a service may take to answer Heartbeat-1; at most 0.4 intervals, default min(2000, 0.4 × intervalMs).',
    unit: 'ms',
    integer: true,
    min: 1,
    max: 1_440_000,
  }),
  allowedNetworks: option.list({
    doc: 'Networks (CIDR) that may be registered besides the address from which a registration comes.',
    item: option.string({
      doc: 'a network',
      pattern: /^[0-9a-f.:]+\/\d{1,3}$/i,
      allowed: 'a network such as 10.0.0.0/8',
    }),
    default: [],
  }),
  maxInstances: option.number({
    doc: 'How many instances may be registered; more are refused with 429.',
    default: 20_000,
    integer: true,
    min: 1,
    max: 1_000_000,
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
    doc: 'Where it counts. Default: nowhere.',
    allowed: 'a Meter',
    default: noMeter,
    is: isPort<Meter>,
  }),
  time: option.value({ doc: 'The clock. For tests.', allowed: 'a Time', default: systemTime, is: isPort<Time> }),
  random: option.value({ doc: 'Chance. For tests.', allowed: 'a Random', default: systemRandom, is: isPort<Random> }),
};

type Settings = OptionsOf<typeof registryFields>;

const LAWS: readonly OptionLaw<Settings>[] = [
  ({ intervalMs, timeoutMs }) =>
    timeoutMs === undefined || timeoutMs <= 0.4 * intervalMs
      ? null
      : `timeoutMs ${timeoutMs} is more than 0.4 × intervalMs ${intervalMs}: choose at most ${Math.floor(0.4 * intervalMs)}.`,
];

/** A registry that serves. */
export interface RunningRegistry {
  /** How a program on this machine reaches it. */
  readonly url: string;
  readonly port: number;
  /** Stops serving, then calling, then storing. May be called twice. */
  close(): Promise<void>;
}

/** Throws OPTION_INVALID that names every flaw. */
export function parseStartOptions(options: StartOptions): Settings {
  return parseOptions(registryFields, options, LAWS);
}

/**
 * Starts a whole registry: engine, Heartbeat-1 over TCP and HTTP, store, HTTP face. It serves before its store is loaded, and
 * says so (503) until then. Rejects with OPTION_INVALID, NOT_LOOPBACK, PORT_TAKEN, or with what the store's loading threw;
 * then nothing is left open.
 */
export async function startRegistry(options: StartOptions = {}): Promise<RunningRegistry> {
  const settings = parseStartOptions(options);
  const registry = createRegistry(settings);
  try {
    const server = await serveRegistry({ ...settings, registry });
    let closing: Promise<void> | null = null;
    const close = (): Promise<void> => (closing ??= server.close().then(() => registry.close()));
    // from elsewhere, the way to an address such as 0.0.0.0 is known only to those who came
    registry.listensOn(server.port, isWildcard(settings.host) ? [] : [server.url]);
    await registry.start().catch(async (error: unknown) => {
      await close();
      throw error;
    });
    return { url: server.url, port: server.port, close };
  } catch (error) {
    await registry.close();
    throw error;
  }
}

function createRegistry(settings: Settings): Registry {
  const { time, random, log, meter, store = new MemoryStore(), allowedNetworks } = settings;
  const callers = [new TcpCaller({ time }), new HttpCaller({ time })];
  const ports = { time, random, log, meter, store, callers, resolve };
  return new Registry(ports, {
    policy: policyOf(settings),
    allowedNetworks,
    limits: limitsOf(settings),
    freshEvery: 1,
  });
}

/** Those without an option of their own follow `maxInstances`: one source, and one service, may have half. */
function limitsOf({ maxInstances }: Settings): Limits {
  const half = Math.max(1, Math.floor(maxInstances / 2));
  return { ...DEFAULT_LIMITS, maxInstances, maxInstancesPerSource: half, maxInstancesPerService: half };
}

async function resolve(host: string): Promise<string> {
  return (await lookup(host)).address;
}

function policyOf({ intervalMs, timeoutMs }: Settings): Policy {
  const longest = Math.max(1, Math.floor(0.4 * intervalMs));
  return { ...DEFAULT_POLICY, intervalMs, timeoutMs: timeoutMs ?? Math.min(DEFAULT_POLICY.timeoutMs, longest) };
}

/** Ports are TypeScript's to check; here only that something was handed in. */
function isPort<Port>(received: unknown): received is Port {
  return typeof received === 'object' && received !== null;
}
