import { join } from 'node:path';
import { afterAll, describe, expect, inject, it } from 'vitest';
import { endAll, launch } from '../process/launch.js';

const { nest11, nest12 } = inject('workshop');

afterAll(endAll);

describe.each([
  { nest: 11, folder: nest11 },
  { nest: 12, folder: nest12 },
])('Nest $nest', ({ folder }) => {
  it('runs a catch-all filter under APP_FILTER before ours, whatever the order of imports', async () => {
    const program = launch(process.execPath, [join(folder, 'kinds/dist/filters.js')], { cwd: folder });
    expect(JSON.parse(await program.line(/^{/))).toEqual({
      alone: '503 ALL_EJECTED',
      first: '418 CAUGHT',
      last: '418 CAUGHT',
    });
  });
});
