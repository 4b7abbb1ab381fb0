import { lookup } from 'node:dns/promises';
import { GrpcCaller } from '../caller/grpc.js';
import { HttpCaller } from '../caller/http.js';
import { TcpCaller } from '../caller/tcp.js';
import { capacityOf, HostWatch, shortfalls } from '../host-budget.js';
import type { Workload } from '../host-budget.js';
import { readHostFacts } from '../host-facts.js';
import { Registry } from '../registry.js';
import { MemoryStore } from '../store/memory.js';
import { Tokens } from '../tokens-file.js';
import { isWildcard } from './listen.js';
import { isLoopback } from './request.js';
import { serveRegistry } from './server.js';
import type { RegistryServer } from './server.js';
import { describeOptions, parseStartOptions } from './start-options.js';
import type { Settings, StartOptions } from './start-options.js';

/** A registry that serves. */
export interface RunningRegistry {
  /** How a program on this machine reaches it. */
  readonly url: string;
  readonly port: number;
  /** Stops serving, then calling, then storing. May be called twice. */
  close(): Promise<void>;
}

/**
 * Starts a whole registry: engine, Heartbeat-1 over TCP, HTTP and gRPC, store, HTTP face. It serves before its store is loaded, and
 * says so (503) until then. Warns of what the host cannot carry: at once of what was asked for, later of what comes. Rejects with
 * OPTION_INVALID, NOT_LOOPBACK, PORT_TAKEN, STORE_UNREADABLE (the tokens), or with what the store's loading threw; then nothing is left
 * open.
 */
export async function startRegistry(options: StartOptions = {}): Promise<RunningRegistry> {
  const settings = parseStartOptions(options);
  const { tokens: path, ...served } = settings;
  const tokens = path === undefined ? null : await Tokens.open({ ...settings, path });
  let made: Registry | null = null;
  try {
    const registry = createRegistry(settings, describeOptions(options, settings), tokens);
    made = registry;
    const server = await serveRegistry({ ...served, registry, ...(tokens === null ? {} : { tokens }) });
    let watch: HostWatch | null = null;
    let closing: Promise<void> | null = null;
    const close = (): Promise<void> => {
      watch?.close();
      return (closing ??= closeAll(server, registry, tokens));
    };
    // from elsewhere, the way to an address such as 0.0.0.0 is known only to those who came
    registry.listensOn(server.port, isWildcard(settings.host) ? [] : [server.url]);
    await registry.start().catch(async (error: unknown) => {
      await close();
      throw error;
    });
    watch = await watchHost(options, settings, registry);
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
  settings: Settings,
  described: ReturnType<typeof describeOptions>,
  tokens: Tokens | null,
): Registry {
  const { time, random, log, meter, store = new MemoryStore() } = settings;
  const { policy, allowedNetworks, limits, freshEvery, heartbeatTls: tls } = settings;
  const way = { time, tls };
  const callers = [new TcpCaller(way), new HttpCaller(way), new GrpcCaller(way), new HttpCaller(way, 'heartbeat')];
  const ports = { time, random, log, meter, store, callers, resolve, ...(tokens === null ? {} : { tokens }) };
  return new Registry(ports, { policy, allowedNetworks, limits, freshEvery, described });
}

/** Nobody is told about a default limit that the host could not carry: few reach it, and those are told in time. */
async function watchHost(asked: StartOptions, settings: Settings, registry: Registry): Promise<HostWatch> {
  const { time, log, policy, limits, freshEvery, host: address } = settings;
  const { intervalMs, timeoutMs } = policy;
  const work: Workload = { intervalMs, timeoutMs, freshEvery, maxCalls: limits.maxCalls, isLocal: isLoopback(address) };
  const host = await readHostFacts();
  const instances = asked.maxInstances ?? 0;
  const watchers = asked.maxWatchers ?? instances;
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
