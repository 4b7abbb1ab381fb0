import { afterEach, describe, expect, it } from 'vitest';
import { isShort } from '../variants.js';
import { openFleet } from './fleet.js';
import type { Fleet, InstanceCounts } from './fleet.js';
import { endAll } from './spawn.js';
import { timed } from './stage.js';
import { waitFor } from './wait-for.js';

/** `FULL=1 npm run e2e -- process silence` keeps the intervals that services have by default. */
const INTERVAL_MS = process.env['FULL'] === '1' ? 5_000 : 500;
const TEST_MS = 100 * INTERVAL_MS + 30_000;

afterEach(endAll);

/** Runs a test on a fleet of its own; a repetition gets a new one. */
function withFleet(
  groups: readonly InstanceCounts[],
  run: (fleet: Fleet, lag: () => number) => Promise<void>,
): Promise<void> {
  return timed(INTERVAL_MS, async (lag) => {
    const fleet = await openFleet({ intervalMs: INTERVAL_MS, groups });
    try {
      await run(fleet, lag);
    } finally {
      await fleet.close();
    }
  });
}

/** The longest time, in intervals, that each instance was not HEALTHY since `at`. */
function unhealthyIntervals({ witness, ids, intervalMs }: Fleet, at: number): readonly number[] {
  return ids.flatMap((id) => {
    const changes = witness.since(id, at);
    return changes.flatMap(({ instance, at: fellAt }, index) => {
      if (instance.state === 'HEALTHY') return [];
      const back = changes.slice(index).find((later) => later.instance.state === 'HEALTHY');
      return [((back?.at ?? Infinity) - fellAt) / intervalMs];
    });
  });
}

/** Services that a caller ever found empty. */
function emptiedServices({ fewestCallable }: Fleet): readonly string[] {
  expect(fewestCallable.size).toBe(13);
  return [...fewestCallable].filter(([, count]) => count === 0).map(([service]) => service);
}

async function wake(fleet: Fleet, lag: () => number): Promise<void> {
  const resumedAt = performance.now();
  for (const { child } of fleet.groups) child.kill('SIGCONT');
  await fleet.waitUntilHealthy();
  // two rounds, and one for a machine that other processes keep busy: the lag is that of this process alone
  expect((performance.now() - resumedAt) / INTERVAL_MS).toBeLessThanOrEqual(3 + lag());
}

describe('among fifty instances', () => {
  const GROUPS = [{ a: 9, b: 10, c: 10 }, { a: 1 }, { d: 10, e: 10 }];

  it(
    'a registry that was frozen for six intervals takes no instance out of HEALTHY for longer than one round',
    () =>
      withFleet(GROUPS, async (fleet, lag) => {
        const frozenAt = performance.now();
        fleet.registry.kill('SIGSTOP');
        await fleet.waitIntervals(6);
        fleet.registry.kill('SIGCONT');
        // all effects of the freeze would be visible by now
        await fleet.waitIntervals(4);
        await fleet.waitUntilHealthy();
        expect(fleet.instancesInState('CRITICAL', frozenAt)).toEqual([]);
        expect(fleet.instancesInState('REMOVED', frozenAt)).toEqual([]);
        expect(unhealthyIntervals(fleet, frozenAt).filter((intervals) => intervals > 1 + lag())).toEqual([]);
      }),
    TEST_MS,
  );

  it(
    'a frozen instance passes the states in order, affects no other, and is back within two intervals',
    () =>
      withFleet(GROUPS, async (fleet, lag) => {
        const [, { child, ids } = expect.fail()] = fleet.groups;
        const [id = ''] = ids;
        const frozenAt = performance.now();
        child.kill('SIGSTOP');
        const historyOfFrozen = (): readonly string[] => fleet.witness.historyOf(id, frozenAt);
        await waitFor('it is removed', () => historyOfFrozen().at(-1)?.startsWith('REMOVED'), 12 * INTERVAL_MS + 5_000);
        // its reason may change while it is in a state
        expect([...new Set(historyOfFrozen().map((words) => words.split(' ')[0]))]).toEqual([
          'UNHEALTHY',
          'CRITICAL',
          'DEREGISTERING',
          'REMOVED',
        ]);
        expect(historyOfFrozen().slice(-3)).toEqual(['CRITICAL SILENT', 'DEREGISTERING SILENT', 'REMOVED SILENT']);
        const others = fleet.ids.filter((other) => other !== id);
        expect(others.flatMap((other) => fleet.witness.historyOf(other, frozenAt))).toEqual([]);

        const wokenAt = performance.now();
        child.kill('SIGCONT');
        await fleet.waitUntilHealthy();
        expect((performance.now() - wokenAt) / INTERVAL_MS).toBeLessThanOrEqual(3 + lag());
      }),
    TEST_MS,
  );
});

describe.skipIf(isShort)('among sixty instances', () => {
  const PAIRS = Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`pair-${index}`, 1]));
  /** `a` is everywhere, `whole` and `all` are in one process each, of each pair one is where nothing happens. */
  const GROUPS = [
    { a: 8, ...PAIRS },
    { a: 4, whole: 10, ...PAIRS },
    { a: 6, all: 12 },
  ];
  /** 15 % of all, and of `a`. */
  const ALLOWED_OF_ALL = 9;
  const ALLOWED_OF_A = 2;

  it(
    '70 % that fall silent at once all stay callable until they are back',
    () =>
      withFleet(GROUPS, async (fleet, lag) => {
        const [, some, more] = fleet.groups;
        const silentAt = performance.now();
        for (const crowd of [some, more]) crowd?.child.kill('SIGSTOP');
        // silence alone would have removed them by now
        await fleet.waitIntervals(9);
        expect(fleet.instancesInState('CRITICAL', silentAt)).toEqual([]);
        expect(fleet.instancesInState('REMOVED', silentAt)).toEqual([]);
        expect(fleet.instancesInState('UNHEALTHY PRESERVED', silentAt)).toHaveLength(42);
        await wake(fleet, lag);
        expect(emptiedServices(fleet)).toEqual([]);
      }),
    TEST_MS,
  );

  it(
    'at most 15 % are removed when 40 % fall silent, and none more when 70 % do',
    () =>
      withFleet(GROUPS, async (fleet, lag) => {
        const [, some, more] = fleet.groups;
        const silentAt = performance.now();
        some?.child.kill('SIGSTOP');
        const removed = (): number => fleet.instancesInState('REMOVED SILENT', silentAt).length;
        await waitFor('silence has used its allowance', () => removed() === ALLOWED_OF_ALL, 14 * INTERVAL_MS + 5_000);
        more?.child.kill('SIGSTOP');
        await fleet.waitIntervals(8);
        const lost = fleet.instancesInState('CRITICAL SILENT', silentAt);
        expect(lost).toHaveLength(ALLOWED_OF_ALL);
        expect(fleet.instancesInState('CRITICAL', silentAt)).toEqual(lost);
        expect(lost.filter((id) => id.startsWith('a-')).length).toBeLessThanOrEqual(ALLOWED_OF_A);
        expect(lost.filter((id) => /^(whole|all)-/.test(id))).toEqual([]);
        await wake(fleet, lag);
        expect(emptiedServices(fleet)).toEqual([]);
      }),
    TEST_MS,
  );
});
