// Format, lint with the layering rules, types, dead code, unit tests. `npm run check`; also the first stage of `npm test`.
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { runStages, tool, vitest } from './run.mjs';

export const check = {
  name: 'check',
  capMs: 240_000,
  expectedMs: 60_000,
  waves: [
    [tool('oxfmt', '--check', '.'), tool('oxlint', '--type-aware', '--deny-warnings'), tool('tsc', '-b'), tool('knip')],
    [
      tool('tsc', '-p', 'tsconfig.tests.json'),
      tool('tsc', '-p', 'packages/dashboard'),
      // most tests wait for a socket or a timer now and then: two cores carry three workers
      vitest('unit', '--maxWorkers=3'),
    ],
  ],
};

if (argv[1] === fileURLToPath(import.meta.url)) await runStages([check]);
