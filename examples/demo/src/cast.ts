import { fileURLToPath } from 'node:url';
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

/** The processes that register, in the order in which they are started. */
export function serviceRoles(places: Places): readonly Role[] {
  return Object.entries(PROGRAMS).flatMap(([service, program]) => {
    const count = COUNTS[service] ?? 1;
    return Array.from({ length: count }, (_, index) => ({
      name: count === 1 ? service : `${service}-${index + 1}`,
      service,
      launch: () => ({
        argv: [program],
        env: environment({
          ROLLCALL_URL: places.registryUrl ?? '',
          ...(service === GATEWAY ? { PORT: String(places.gatewayPort) } : {}),
        }),
      }),
    }));
  });
}

/** May it be killed to show that nobody notices? */
export const isExpendable = ({ service }: Pick<Role, 'service'>): boolean => Object.hasOwn(COUNTS, service);

/** Ours, without what the user has set up for another registry. */
function environment(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ROLLCALL_'));
  return { ...Object.fromEntries(inherited), ...own };
}
