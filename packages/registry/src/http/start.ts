import { lookup } from 'node:dns/promises';
import type { TlsTerms } from '@rollcall/core';
import { Tokens } from '../access/token-file.js';
import { capacityOf, connectionsFor, HostWatch, lingeringFor, shortfalls, usedOf } from '../metrics/host-budget.js';
import type { Load, Workload } from '../metrics/host-budget.js';
import { processFactsOf, readHostFacts } from '../metrics/host-facts.js';
import type { HostFacts } from '../metrics/host-facts.js';
import { RegistryMetrics } from '../metrics/registry-metrics.js';
import { GrpcCaller } from '../probing/protocols/grpc.js';
import { HttpCaller } from '../probing/protocols/http.js';
import { Lingering } from '../probing/protocols/lingering.js';
import { TcpCaller } from '../probing/protocols/tcp.js';
import { secureConnector } from '../probing/protocols/tls.js';
import { Registry } from '../registry.js';
import { MemoryStore } from '../store/memory.js';
import { openedStore } from '../store/opened.js';
import { timedStore } from '../store/timed.js';
import { isLoopback } from './exchange/request.js';
import { serveRegistry } from './server.js';
import type { RegistryServer } from './server.js';
import { describeOptions, parseStartOptions } from './start-options.js';
import type { Settings, StartOptions } from './start-options.js';

/** A running registry. */
export interface RunningRegistry {
  /** The URL for programs on this machine. */
  readonly url: string;
  readonly port: number;
  /** Stops serving, then calling, then storing. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a whole registry: engine, Heartbeat-1 over TCP, HTTP and gRPC, store, HTTP server. It serves before its store
 * is loaded, and answers 503 until then. It warns if the host cannot carry the load: at once for configured limits,
 * later for the actual load. Rejects with OPTION_INVALID, NOT_LOOPBACK, PORT_TAKEN, STORE_UNREADABLE (the tokens), or
 * with the error of loading the store; nothing stays open then.
 */
export async function startRegistry(options: StartOptions = {}): Promise<RunningRegistry> {
  const parsed = parseStartOptions(options);
  const facts = await readHostFacts();
  const settings = fitted(options, parsed, facts);
  const { tokens: path, maxConnections = Infinity, ...served } = settings;
  const tokens = path === undefined ? null : await Tokens.open({ ...settings, path });
  let made: Registry | null = null;
  try {
    const metrics = new RegistryMetrics(settings);
    const lingering = new Lingering(lingeringFor(settings.limits, facts));
    const counted = { ...settings, meter: metrics.meter, lingering };
    const registry = createRegistry(counted, describeOptions(options, settings), tokens);
    made = registry;
    const budgets = (load: Load) => usedOf(load, workOf(settings), facts);
    const processFacts = processFactsOf(settings.time);
    const serving = { ...served, maxConnections, registry, budgets, processFacts, metrics };
    const server = await serveRegistry({ ...serving, ...(tokens === null ? {} : { tokens }) });
    let watch: HostWatch | null = null;
    let closing: Promise<void> | null = null;
    const close = (): Promise<void> => {
      watch?.close();
      return (closing ??= closeAll(server, registry, tokens));
    };
    registry.listensOn(server.port, server.urls);
    await registry.start().catch(async (error: unknown) => {
      await close();
      throw error;
    });
    watch = watchHost(options, settings, { registry, facts });
    return { url: server.url, port: server.port, close };
  } catch (error) {
    await Promise.all([made?.close(), tokens?.close()]);
    throw error;
  }
}

async function closeAll(server: RegistryServer, registry: Registry, tokens: Tokens | null): Promise<void> {
  await server.close();
  await Promise.all([registry.close(), tokens?.close()]);
}

function createRegistry(
  settings: Settings & { readonly lingering: Lingering },
  described: ReturnType<typeof describeOptions>,
  tokens: Tokens | null,
): Registry {
  const { time, random, log, meter, lingering, store = new MemoryStore() } = settings;
  const { policy, allowedNetworks, limits, freshEvery } = settings;
  const tls = secureConnector(heartbeatTerms(settings), log, heartbeatTermsFrom(settings));
  const way = { time, lingering, tls };
  const callers = [new TcpCaller(way), new HttpCaller(way), new GrpcCaller(way), new HttpCaller(way, 'heartbeat')];
  // each request shows its certificate again: none from before counts
  const check = tokens ?? (settings.tls?.caFile === undefined ? undefined : { isValid: () => false });
  const ports = {
    time,
    random,
    log,
    meter,
    store: timedStore(check === undefined ? openedStore(store, log) : store, { time, meter }),
    callers,
    resolve,
    ...(check && { tokens: check }),
  };
  return new Registry(ports, { policy, allowedNetworks, limits, freshEvery, described });
}

/** A service that asks for a client certificate gets the registry's own, unless there is another for this purpose. */
function heartbeatTerms(settings: Settings): TlsTerms {
  const { heartbeatTls, tls } = settings;
  if (tls === undefined || !showsOwn(settings)) return heartbeatTls;
  return { ...heartbeatTls, certFile: tls.certFile, keyFile: tls.keyFile };
}

/** The names of the options that these terms are from. */
function heartbeatTermsFrom(settings: Settings): string {
  const { ca, caFile } = settings.heartbeatTls;
  if (!showsOwn(settings)) return 'heartbeatTls';
  return ca === undefined && caFile === undefined ? 'tls' : 'tls and heartbeatTls';
}

const showsOwn = ({ heartbeatTls, tls }: Settings): boolean =>
  tls !== undefined && heartbeatTls.cert === undefined && heartbeatTls.certFile === undefined;

function workOf({ policy, limits, freshEvery, host }: Settings): Workload {
  const { intervalMs, timeoutMs } = policy;
  return { intervalMs, timeoutMs, freshEvery, maxCalls: limits.maxCalls, isLocal: isLoopback(host) };
}

/** Maximum share of the connections for watch streams that are not lines. */
const WATCHERS_SHARE = 0.75;

/** Fits limits that were not configured to the host: running out of open files affects all clients. */
function fitted(options: StartOptions, settings: Settings, host: HostFacts): Settings {
  const { limits } = settings;
  const maxConnections = settings.maxConnections ?? connectionsFor(workOf(settings), host);
  if (maxConnections === null || options.maxWatchers !== undefined) {
    return maxConnections === null ? settings : { ...settings, maxConnections };
  }
  const maxWatchers = Math.max(1, Math.min(limits.maxWatchers, Math.floor(maxConnections * WATCHERS_SHARE)));
  const ofSource = Math.ceil((maxWatchers * limits.maxWatchersPerSource) / limits.maxWatchers);
  const maxWatchersPerSource =
    options.maxWatchersPerSource === undefined ? ofSource : Math.min(maxWatchers, limits.maxWatchersPerSource);
  return { ...settings, maxConnections, limits: { ...limits, maxWatchers, maxWatchersPerSource } };
}

/**
 * Warns about configured limits that the host cannot carry. Default limits cause no warning: few fleets reach them, and
 * those are warned in time.
 */
function watchHost(
  options: StartOptions,
  settings: Settings,
  { registry, facts: host }: { readonly registry: Registry; readonly facts: HostFacts },
): HostWatch {
  const { time, log } = settings;
  const work = workOf(settings);
  const instances = options.maxInstances ?? 0;
  const watchers = options.maxWatchers ?? instances;
  for (const text of shortfalls({ instances, watchers }, work, host)) log.warn(text);
  const capacity = capacityOf(work, host);
  if (capacity !== null) {
    const { instances: carried, boundBy } = capacity;
    log.debug(`This host carries about ${carried.toLocaleString('en-US')} instances (bound by ${boundBy}).`);
  }
  const load = () => {
    const answer = registry.describe();
    return answer.ok ? answer.value : null;
  };
  return new HostWatch({ time, log, work, host, load });
}

async function resolve(host: string): Promise<string> {
  return (await lookup(host)).address;
}
