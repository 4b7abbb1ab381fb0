import { setTimeout as pass } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { PROTOCOLS } from './law-caller.js';
import type { Report } from './law-caller.js';
import { openLink } from './law-link.js';
import type { Link } from './law-link.js';
import { failedBySecond, openWorld, say, under, warm, worse } from './law-world.js';
import type { LawWorld, Pair } from './law-world.js';
import { endAll } from './spawn.js';

const LOAD = { rates: { find: 60 }, terms: { find: { deadlineMs: 5_000, idempotent: true } } };
const SKIPPED = 'needs root, Perl and /dev/net/tun for a slow network';
/** Each way, ms. */
const SLOW_MS = 300;
const CALM_MS = 3_000;
const SICK_MS = 8_000;
/** So long after it is fast again an instance has its share back, which is counted for some seconds. */
const HEALED_MS = 10_000;
const COUNTED_MS = 3_000;

let link: Link | null = null;
let world: LawWorld | null = null;

afterEach(async () => {
  await world?.close();
  await link?.close();
  world = null;
  link = null;
  await endAll();
});

/** Instances and the registry at the far end of a link, callers at this end. Null: not here. */
async function openFar(instances: number): Promise<{ link: Link; world: LawWorld } | null> {
  link = await openLink();
  if (link === null) return null;
  world = await openWorld(instances, link.far);
  return { link, world };
}

const openPairs = (far: LawWorld, place: Link['near']): Promise<readonly Pair[]> =>
  Promise.all(PROTOCOLS.map((over) => far.pair(over, { place })));

/** Of the answers in these seconds, the largest and the smallest share of an instance. */
function shares({ seconds }: Report, from: number, instances: number): { least: number; most: number } {
  const counts = new Map<string, number>();
  for (const second of seconds.slice(from)) {
    for (const [who, count] of Object.entries(second)) {
      if (who !== 'failed') counts.set(who, (counts.get(who) ?? 0) + count);
    }
  }
  const all = [...counts.values()];
  const sum = all.reduce((one, other) => one + other, 0);
  return { least: all.length < instances ? 0 : Math.min(...all) / sum, most: Math.max(...all) / sum };
}

describe('where a round trip takes 600 ms', () => {
  it.for([1, 3])(
    'no call to %i instances fails: over new connections, healed, and slow again',
    async (instances, { skip }) => {
      const far = await openFar(instances);
      if (far === null) return skip(SKIPPED);
      await far.link.delay('*', SLOW_MS);
      const reports = await under(await openPairs(far.world, far.link.near), LOAD, async () => {
        await pass(5_000);
        await far.link.delay('*', 0);
        await pass(2_000);
        await far.link.delay('*', SLOW_MS);
        await pass(3_000);
      });
      for (const report of reports)
        say(`slow-from-the-start-${instances}`, report, `by_second="${failedBySecond(report.rollcall)}"`);
      expect(reports.flatMap(worse)).toEqual([]);
    },
  );

  it('one of three that becomes slow fails no call, and has its share back within 10 s after it is fast again', async ({
    skip,
  }) => {
    const far = await openFar(3);
    if (far === null) return skip(SKIPPED);
    const ports = Object.values(far.world.instances.at(0)!.ports);
    const reports = await under(await warm(await openPairs(far.world, far.link.near)), LOAD, async () => {
      await pass(CALM_MS);
      await far.link.delay(ports, SLOW_MS);
      await pass(SICK_MS);
      await far.link.delay(ports, 0);
      await pass(HEALED_MS + COUNTED_MS);
    });
    const shared = reports.map(({ over, rollcall }) => ({
      over,
      ...shares(rollcall, (CALM_MS + SICK_MS + HEALED_MS) / 1_000, 3),
    }));
    for (const [index, report] of reports.entries()) {
      const { least, most } = shared.at(index)!;
      const told = `least_share=${least.toFixed(2)} most=${most.toFixed(2)} by_second="${failedBySecond(report.rollcall)}"`;
      say('one-of-3-slow-then-healed', report, told);
    }
    expect(reports.flatMap(worse)).toEqual([]);
    expect(shared.filter(({ least, most }) => least < 1 / 6 || most > 2 / 3)).toEqual([]);
  });
});
