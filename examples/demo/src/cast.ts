import { fileURLToPath } from 'node:url';
import type { FrontDoor } from './front-door.js';
import type { DemoOptions } from './options.js';
import type { Role } from './supervisor.js';

/** Where things are; filled in as they come up, and kept over restarts. */
export interface Places {
  registryPort: number;
  gatewayPort: number;
  /** Null before the registry serves for the first time. */
  registryUrl: string | null;
}

export const REGISTRY = 'registry';
export const GATEWAY = 'gateway';
/** How many of each; these may be killed at random, since others of their service take over. */
const COUNTS: Readonly<Record<string, number>> = { a: 3, b: 2 };
/** The instance to which the way can be cut, for others and not for itself. */
export const BEHIND_THE_DOOR = 'a-3';

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
export function registryRole(options: DemoOptions, places: Places): Role {
  const interval = options.intervalMs === null ? [] : ['--interval', String(options.intervalMs)];
  return {
    name: REGISTRY,
    service: REGISTRY,
    launch: () => ({
      argv: [rollcall, 'up', '--json', '--memory', '--port', String(places.registryPort), ...interval],
      env: environment({}),
    }),
  };
}

/** The processes that register, in the order in which they are started. The last one of a lives behind the door. */
export function serviceRoles(places: Places, door: FrontDoor | null): readonly Role[] {
  return Object.keys(PROGRAMS).flatMap((service) => {
    const count = COUNTS[service];
    if (count === undefined) return serviceRole(service, service, places, null);
    return Array.from({ length: count }, (_, index) => {
      const name = `${service}-${index + 1}`;
      return serviceRole(name, service, places, name === BEHIND_THE_DOOR ? door : null);
    });
  });
}

/** One more of the service that has fewer. */
export function anotherRole(roles: readonly Role[], places: Places): Role {
  const counts = Object.keys(COUNTS).map((service) => ({
    service,
    count: roles.filter((role) => role.service === service).length,
  }));
  const [{ service, count } = { service: 'a', count: 0 }] = counts.toSorted((one, other) => one.count - other.count);
  return serviceRole(`${service}-${count + 1}`, service, places, null);
}

function serviceRole(name: string, service: string, places: Places, door: FrontDoor | null): Role {
  const program = PROGRAMS[service] ?? '';
  return {
    name,
    service,
    launch: () => ({
      argv: [program],
      env: environment({
        ROLLCALL_URL: places.registryUrl ?? '',
        PORT: String(door?.port ?? (service === GATEWAY ? places.gatewayPort : 0)),
        ...(door === null ? {} : { BIND_HOST: door.inside, ROLLCALL_ADVERTISE_HOST: door.host }),
      }),
    }),
  };
}

/** May it be killed to show that nobody notices? */
export const isExpendable = ({ service }: Pick<Role, 'service'>): boolean => Object.hasOwn(COUNTS, service);

/** Ours, without what the user has set up for another registry. */
function environment(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(ROLLCALL_|BIND_HOST$)/.test(name));
  return { ...Object.fromEntries(inherited), ...own };
}
