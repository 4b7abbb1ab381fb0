import { fileURLToPath } from 'node:url';
import { launch } from './launch.js';
import type { Child } from './launch.js';

export { endAll, exists } from './launch.js';
export type { Child } from './launch.js';

/** The names of the programs; each runs from `dist`. */
export const PROGRAMS = {
  rollcall: programOf('rollcall'),
  a: programOf('@rollcall-examples/service-a'),
  b: programOf('@rollcall-examples/service-b'),
  gateway: programOf('@rollcall-examples/gateway'),
  demo: programOf('@rollcall-examples/demo'),
  tcp: programOf('@rollcall-examples/tcp'),
  'tcp caller': programOf('@rollcall-examples/tcp', 'caller'),
  http: programOf('@rollcall-examples/http'),
  'http caller': programOf('@rollcall-examples/http', 'caller'),
  grpc: programOf('@rollcall-examples/grpc'),
  'grpc caller': programOf('@rollcall-examples/grpc', 'caller'),
  hybrid: programOf('@rollcall-examples/hybrid'),
  'hybrid caller': programOf('@rollcall-examples/hybrid', 'caller'),
  tenant: fileURLToPath(new URL('programs/tenant.mjs', import.meta.url)),
  crowd: fileURLToPath(new URL('../../bench/dist/crowd.js', import.meta.url)),
  keeper: fileURLToPath(new URL('programs/keeper.mjs', import.meta.url)),
  worker: fileURLToPath(new URL('programs/worker.mjs', import.meta.url)),
  wire: fileURLToPath(new URL('programs/wire.mjs', import.meta.url)),
  'law service': fileURLToPath(new URL('programs/law-service.mjs', import.meta.url)),
  'law caller': fileURLToPath(new URL('programs/law-caller.mjs', import.meta.url)),
  market: fileURLToPath(new URL('programs/market.mjs', import.meta.url)),
  workers: fileURLToPath(new URL('programs/workers.mjs', import.meta.url)),
  kinds: fileURLToPath(new URL('programs/kinds.mjs', import.meta.url)),
  broker: fileURLToPath(new URL('programs/broker.mjs', import.meta.url)),
  desk: fileURLToPath(new URL('programs/desk.mjs', import.meta.url)),
  embedded: fileURLToPath(new URL('programs/embedded.mjs', import.meta.url)),
  metered: fileURLToPath(new URL('programs/metered.mjs', import.meta.url)),
  slow: fileURLToPath(new URL('programs/slow.mjs', import.meta.url)),
} as const;

function programOf(name: string, file = 'main'): string {
  return fileURLToPath(new URL(`dist/${file}.js`, import.meta.resolve(`${name}/package.json`)));
}

/** Starts one of our programs in this Node.js. */
export function start(
  program: keyof typeof PROGRAMS,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Child {
  return launch(process.execPath, [PROGRAMS[program], ...args], { env });
}
