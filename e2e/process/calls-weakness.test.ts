import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repeatIfLate } from './call-run.js';
import type { Run } from './call-run.js';
import { openCallStage } from './call-stage.js';
import type { CallStage, Over, WorkerFault } from './call-stage.js';
import type { OpenLoop } from './open-loop.js';
import { endAll } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 500;
const FAULTS: readonly WorkerFault[] = ['unavailable', 'slow', 'refuse'];
/** The number of failures before it is ejected at most, consecutive ones plus those in flight then. */
const BEFORE_AVOIDED = 10;
/** Its remaining share of the calls. */
const AVOIDED_SHARE = 0.05;

/** SIGUSR2 turns a fault on, or off again. */
async function setFault(faulty: Child, state: 'faulty' | 'well'): Promise<void> {
  const count = (): number => faulty.out.filter((line) => line === state).length;
  const before = count();
  faulty.kill('SIGUSR2');
  await waitFor(`it is ${state}`, () => count() > before);
}

const judged = (run: () => Promise<void>): Promise<void> => repeatIfLate(INTERVAL_MS, run);

describe('under an open-loop load', () => {
  let stage: CallStage;
  let workers: readonly Child[];

  beforeAll(async () => {
    stage = await openCallStage({ intervalMs: INTERVAL_MS, faults: FAULTS });
    workers = stage.liveWorkers;
  }, 60_000);
  afterAll(async () => {
    await stage.close();
    await endAll();
  });

  /** One instance turns faulty, and well again as soon as `waitForLoad` is satisfied. */
  async function withFaulty(
    over: Over,
    fault: WorkerFault,
    seen: (id: string, load: OpenLoop) => Promise<unknown>,
  ): Promise<{ run: Run; id: string }> {
    const faulty = workers.at(FAULTS.indexOf(fault))!;
    const id = stage.idOf(faulty);
    await stage.restore();
    const run = await stage.runUnderLoad(over, async (load) => {
      await stage.waitUntilAnswered(id, over);
      await setFault(faulty, 'faulty');
      try {
        await seen(id, load);
      } finally {
        await setFault(faulty, 'well');
      }
    });
    return { run, id };
  }

  it('an instance that answers 503 at once fails no repeatable call, and few others', () =>
    judged(async () => {
      const { run, id } = await withFaulty('http', 'unavailable', (_id, load) => stage.waitForLoad(load, 1));
      expect(run.violations, run.figures).toEqual([]);
      const failed = run.failed('book').map(({ failure }) => failure?.text);
      expect(new Set([...failed, 'HTTP status 503'])).toEqual(new Set(['HTTP status 503']));
      expect(failed.length, run.figures).toBeLessThanOrEqual(BEFORE_AVOIDED);
      expect(run.share('find', id), run.figures).toBeLessThan(AVOIDED_SHARE);
      expect(run.slow('find', 100), run.figures).toEqual([]);
    }));

  it('an instance that is 50 times slower fails no call, and gets few', () =>
    judged(async () => {
      const { run, id } = await withFaulty('tcp', 'slow', (_id, load) => stage.waitForLoad(load, 1.5));
      expect(run.violations, run.figures).toEqual([]);
      expect(run.failed('book'), run.figures).toEqual([]);
      expect(run.share('find', id), run.figures).toBeLessThan(AVOIDED_SHARE);
      expect(run.slow('find', 200), run.figures).toEqual([]);
    }));

  it('an instance whose handlers refuse is not penalized, and its refusals are not retried elsewhere', () =>
    judged(async () => {
      const { run, id } = await withFaulty('tcp', 'refuse', async (faulty, load) => {
        const failed = (): number => load.outcomes.filter(({ failure }) => failure !== null).length;
        await waitFor('many calls were refused', () => failed() >= 100);
        expect(stage.viewOf(faulty, 'tcp')).toMatchObject({ ejected: null, breaker: 'closed', tier: 0 });
      });
      const refused = [...run.failed('find'), ...run.failed('book')].map(({ failure }) => failure);
      const expected = {
        code: 'REMOTE',
        text: 'orders answered with an error: sold out',
        retryable: false,
        attempts: [`${id} remote`],
      };
      expect(refused).toEqual(refused.map(() => expected));
    }));
});
