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
/** The instances of these may be killed at random: others of their service take over. */
const SERVICES = { a: 3, b: 2 } as const;

/** The registry's process. */
export function registryRole(options: DemoOptions, places: Places): Role {
  const interval = options.intervalMs === null ? [] : ['--interval', String(options.intervalMs)];
  const rollcall = fileURLToPath(new URL('dist/main.js', import.meta.resolve('rollcall/package.json')));
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
  const services = Object.entries(SERVICES).flatMap(([service, count]) =>
    Array.from({ length: count }, (_, index) => ({ name: `${service}-${index + 1}`, service, program: `service-${service}` })),
  );
  return [{ name: GATEWAY, service: GATEWAY, program: 'gateway' }, ...services].map(({ name, service, program }) => ({
    name,
    service,
    launch: () => ({
      argv: [fileURLToPath(import.meta.resolve(`@rollcall-examples/${program}/dist/main.js`))],
      env: environment({
        ROLLCALL_URL: places.registryUrl ?? '',
        ...(service === GATEWAY ? { PORT: String(places.gatewayPort) } : {}),
      }),
    }),
  }));
}

/** May it be killed to show that nobody notices? */
export const isExpendable = ({ service }: Pick<Role, 'service'>): boolean => Object.hasOwn(SERVICES, service);

/** Ours, without what the user has set up for another registry. */
function environment(own: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ROLLCALL_'));
  return { ...Object.fromEntries(inherited), ...own };
}
