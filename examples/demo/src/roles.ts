import { fileURLToPath } from 'node:url';
import type { PartitionProxy } from './partition-proxy.js';
import type { DemoOptions } from './options.js';
import type { Role } from './supervisor.js';

/** The addresses of the processes; filled in when known, and kept over restarts. */
export interface Addresses {
  registryPort: number;
  gatewayPort: number;
  /** Null before the registry serves for the first time. */
  registryUrl: string | null;
}

export const REGISTRY = 'registry';
export const GATEWAY = 'gateway';
/** The number of instances per service; these may be killed at random, since others of their service take over. */
const COUNTS: Readonly<Record<string, number>> = { a: 3, b: 2 };
/** The instance that can be partitioned: others cannot reach it, while it reaches them. */
export const PARTITIONABLE = 'a-3';

const rollcall = programOf(import.meta.resolve('rollcall/package.json'));
const PROGRAMS: Readonly<Record<string, string>> = {
  gateway: programOf(import.meta.resolve('@rollcall-examples/gateway/package.json')),
  a: programOf(import.meta.resolve('@rollcall-examples/service-a/package.json')),
  b: programOf(import.meta.resolve('@rollcall-examples/service-b/package.json')),
};

function programOf(manifest: string): string {
  return fileURLToPath(new URL('dist/main.js', manifest));
}

/** The registry's process. */
export function registryRole(options: DemoOptions, addresses: Addresses): Role {
  const interval = options.intervalMs === null ? [] : ['--interval', String(options.intervalMs)];
  return {
    name: REGISTRY,
    service: REGISTRY,
    launch: () => ({
      argv: [rollcall, 'up', '--json', '--memory', '--port', String(addresses.registryPort), ...interval],
      env: environment({}),
    }),
  };
}

/** The processes that register, in the order of their start. The last one of a is behind the proxy. */
export function serviceRoles(addresses: Addresses, proxy: PartitionProxy | null): readonly Role[] {
  return Object.keys(PROGRAMS).flatMap((service) => {
    const count = COUNTS[service];
    if (count === undefined) return serviceRole(service, service, addresses, null);
    return Array.from({ length: count }, (_, index) => {
      const name = `${service}-${index + 1}`;
      return serviceRole(name, service, addresses, name === PARTITIONABLE ? proxy : null);
    });
  });
}

/** One more instance of the service that has fewer. */
export function nextRole(roles: readonly Role[], addresses: Addresses): Role {
  const counts = Object.keys(COUNTS).map((service) => ({
    service,
    count: roles.filter((role) => role.service === service).length,
  }));
  const [{ service, count } = { service: 'a', count: 0 }] = counts.toSorted((one, other) => one.count - other.count);
  return serviceRole(`${service}-${count + 1}`, service, addresses, null);
}

function serviceRole(name: string, service: string, addresses: Addresses, proxy: PartitionProxy | null): Role {
  const program = PROGRAMS[service] ?? '';
  return {
    name,
    service,
    launch: () => ({
      argv: [program],
      env: environment({
        ROLLCALL_URL: addresses.registryUrl ?? '',
        PORT: String(proxy?.port ?? (service === GATEWAY ? addresses.gatewayPort : 0)),
        ...(proxy === null ? {} : { BIND_HOST: proxy.inside, ROLLCALL_ADVERTISE_HOST: proxy.host }),
      }),
    }),
  };
}

/** Whether it may be killed to show that no call fails. */
export const isExpendable = ({ service }: Pick<Role, 'service'>): boolean => Object.hasOwn(COUNTS, service);

/** Our environment, without the user's settings for another registry. */
function environment(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(ROLLCALL_|BIND_HOST$)/.test(name));
  return { ...Object.fromEntries(inherited), ...own };
}
