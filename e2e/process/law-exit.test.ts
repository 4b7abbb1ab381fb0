import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { failedBySecond, guessed, openWorld, say, under, warm } from './law-world.js';
import type { LawWorld, PairReport } from './law-world.js';
import { endAll } from './spawn.js';

const LOAD = { rates: { book: 100 }, terms: { book: { deadlineMs: 5_000, idempotent: false } } };
const CALM_MS = 700;
const BETWEEN_MS = 700;

describe('three instances over HTTP', () => {
  let world: LawWorld;

  beforeAll(async () => {
    world = await openWorld(3);
  }, 60_000);
  afterAll(async () => {
    await world.close();
    await endAll();
  });

  it('which call process.exit one after the other execute no call twice', async () => {
    const reports = await under(await warm([await world.pair('http')]), LOAD, async () => {
      await pass(CALM_MS);
      for (const instance of world.instances) {
        instance.child.kill('SIGUSR2');
        await instance.child.exited;
        await world.relaunch(instance);
        await pass(BETWEEN_MS);
      }
    });
    const executed = new Set(world.executed('book'));
    const lost = ({ rollcall, bare }: PairReport): string =>
      [rollcall, bare]
        .map(({ failures }) => failures.filter(({ id }) => executed.has(id)).length)
        .join(' bare_failed_but_executed=');
    for (const report of reports) say('exit', report, `failed_but_executed=${lost(report)} ${failedBySecond(report)}`);
    expect(world.twice).toEqual([]);
    expect(reports.flatMap(guessed)).toEqual([]);
  });
});
