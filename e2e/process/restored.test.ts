import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openFleet } from './fleet.js';
import type { Fleet } from './fleet.js';
import { endAll } from './spawn.js';
import { timed } from './stage.js';
import { waitFor } from './wait-for.js';

/** `FULL=1 npm run e2e -- process restored` keeps the intervals that services have by default. */
const INTERVAL_MS = process.env['FULL'] === '1' ? 5_000 : 400;
/** One minute with the default interval, from when the registry serves. */
const REMOVED_AFTER_INTERVALS = 12;
/** The bound on a busy machine. */
const MAX_REMOVAL_MS = 3 * REMOVED_AFTER_INTERVALS * INTERVAL_MS + 10_000;
const TEST_MS = 100 * INTERVAL_MS + 60_000;
/** The first crowd ends while the registry is down: of `a` 8 of 10, and the only ones of `b`. */
const GROUPS = [
  { a: 8, b: 2 },
  { a: 2, c: 2 },
];

interface Preservation {
  readonly registry: { readonly used: number; readonly total: number; readonly silent: number };
}

async function preservationOf({ url }: Fleet): Promise<Preservation> {
  const answer = await fetch(`${url}/api/v1/registry`);
  const { preservation } = (await answer.json()) as { readonly preservation: Preservation };
  return preservation;
}

/** Ends the first crowd. */
async function endFirstGroup({ groups: [firstGroup] }: Fleet): Promise<void> {
  firstGroup?.child.kill('SIGKILL');
  await firstGroup?.child.exited;
}

/**
 * From `at`, when the registry serves: the first crowd is removed in time, no other instance was in danger, and the
 * allowance is unused.
 */
async function expectOnlyDeadRemoved(fleet: Fleet, at: number, lag: () => number): Promise<void> {
  const [dead = [], alive = []] = fleet.groups.map(({ ids }) => ids);
  const listed = (): ReadonlySet<string> => new Set(fleet.witness.instances.map(({ id }) => id));
  await waitFor('it lists them again', () => dead.every((id) => listed().has(id)));
  await waitFor('those that are dead are gone', () => dead.every((id) => !listed().has(id)), MAX_REMOVAL_MS);
  expect((performance.now() - at) / INTERVAL_MS).toBeLessThanOrEqual(REMOVED_AFTER_INTERVALS + lag());
  await fleet.waitUntilHealthy(alive);
  for (const word of ['CRITICAL', 'REMOVED']) {
    expect(fleet.instancesInState(word, at).filter((id) => alive.includes(id))).toEqual([]);
  }
  expect((await preservationOf(fleet)).registry).toMatchObject({ used: 0, total: alive.length, silent: 0 });
}

describe('a registry that starts on a folder with instances that have ended', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-restored-'));
  });
  afterEach(async () => {
    await endAll();
    await rm(folder, { recursive: true });
  });

  /** Runs on a fleet and a folder of its own, also when it is repeated. */
  const withFleet = (run: (fleet: Fleet, data: string, lag: () => number) => Promise<void>): Promise<void> =>
    timed(INTERVAL_MS, async (lag) => {
      const data = await mkdtemp(join(folder, 'data-'));
      const fleet = await openFleet({ intervalMs: INTERVAL_MS, groups: GROUPS, args: ['--data', data] });
      try {
        await run(fleet, data, lag);
      } finally {
        await fleet.close();
      }
    });

  it(
    'removes them within a minute, scaled, and no others',
    () =>
      withFleet(async (fleet, data, lag) => {
        const copy = join(folder, 'copy');
        await rm(copy, { recursive: true, force: true });
        await fleet.restartRegistry(() => cp(data, copy, { recursive: true }));
        await fleet.waitUntilHealthy();
        await fleet.restartRegistry(async () => {
          await endFirstGroup(fleet);
          await rm(data, { recursive: true });
          await cp(copy, data, { recursive: true });
        });
        await expectOnlyDeadRemoved(fleet, performance.now(), lag);
      }),
    TEST_MS,
  );
});
