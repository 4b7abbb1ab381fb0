import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { variants } from '../variants.js';
import { fairly } from './call-run.js';
import type { Run } from './call-run.js';
import { openCallStage } from './call-stage.js';
import type { CallStage, Over } from './call-stage.js';
import { endAll } from './spawn.js';
import { until } from './until.js';

const INTERVAL_MS = 500;
/** `short`: the protocol that `npm test` runs. */
const protocols = (short: Over): readonly Over[] => variants<Over>(['tcp', 'http'], (over) => over, [short]);
/** The number of calls in flight at the instance before it is killed: most of them must not be repeated. */
const IN_HAND = 4;
/** The time until the caller notices the end of a connection, ms: what is sent meanwhile is lost, too. */
const NOTICED_MS = 20;
/** A call that is repeated elsewhere at once takes no longer than this, ms. */
const PROMPT_MS = 100;
/** The same while processes start beside it, on two cores. */
const BUSY_MS = 400;

/**
 * Calls that must not be repeated failed there and nowhere else, in one attempt, and report that they may have been
 * executed.
 */
function expectLost(run: Run, victim: string): void {
  const lost = run.failed('book').map(({ failure }) => failure);
  const expected = {
    code: 'TRANSPORT',
    text: expect.stringMatching(/^The call to orders failed: closed, .* It may have been executed/),
    retryable: false,
    attempts: [`${victim} closed`],
  };
  expect(lost, run.figures).toEqual(lost.map(() => expected));
}

describe('under an open-loop load', () => {
  let stage: CallStage;

  beforeAll(async () => {
    stage = await openCallStage({ intervalMs: INTERVAL_MS });
  }, 60_000);
  afterAll(async () => {
    await stage.close();
    await endAll();
  });

  const restored = (run: () => Promise<void>): Promise<void> =>
    fairly(INTERVAL_MS, async () => {
      await stage.restore();
      await run();
    });

  const removed = (id: string): Promise<unknown> =>
    until(`${id} is removed`, () => stage.witness.storyOf(id).at(-1)?.startsWith('REMOVED'));

  it.each(protocols('tcp'))(
    'SIGKILL of one of three fails over %s only its in-flight calls that must not be repeated',
    (over) =>
      restored(async () => {
        const victim = stage.living.at(0)!;
        const id = stage.idOf(victim);
        let inHand = 0;
        let diedAt = 0;
        const run = await stage.under(over, async () => {
          inHand = await stage.busy(id, over, IN_HAND);
          diedAt = performance.now();
          victim.kill('SIGKILL');
          await removed(id);
        });

        expect(run.violations, run.figures).toEqual([]);
        expectLost(run, id);
        const lost = run.failed('book');
        expect(lost.length, run.figures).toBeGreaterThan(0);
        expect(lost.length, run.figures).toBeLessThanOrEqual(inHand + run.made('book', NOTICED_MS + run.noiseMs));
        expect(lost.filter(({ dueAt }) => dueAt > diedAt + NOTICED_MS + run.noiseMs)).toEqual([]);
        expect(run.slow('find', PROMPT_MS), run.figures).toEqual([]);
      }),
  );

  it.each(protocols('http'))(
    'connections that break in the middle of an answer fail over %s no call that may be repeated',
    (over) =>
      restored(async () => {
        const wire = await stage.launchWire('half');
        const id = stage.idOf(wire);
        const run = await stage.under(over, async (load) => {
          await stage.met(id, over);
          wire.kill('SIGUSR2');
          await wire.line(/^faulty$/);
          await wire.line(/^broke off$/);
          await stage.seen(load, 1);
        });

        expect(run.violations, run.figures).toEqual([]);
        expectLost(run, id);
        expect(run.slow('find', PROMPT_MS), run.figures).toEqual([]);
      }),
  );

  it.each(protocols('tcp'))('SIGTERM of all three, one after the other, fails no call over %s', (over) =>
    restored(async () => {
      const run = await stage.under(over, async () => {
        for (const child of stage.living) {
          child.kill('SIGTERM');
          await child.exited;
          stage.launch();
          await stage.whole();
        }
      });

      expect(run.violations, run.figures).toEqual([]);
      expect(run.failed('book'), run.figures).toEqual([]);
      expect(run.slow('find', BUSY_MS), run.figures).toEqual([]);
    }),
  );

  it('another service at the address of a dead instance executes none of its calls', () =>
    restored(async () => {
      const victim = stage.living.at(0)!;
      const id = stage.idOf(victim);
      const port = stage.portOf(victim, 'tcp');
      const tenant = await stage.launchTenant(port);
      const run = await stage.under('tcp', async () => {
        victim.kill('SIGKILL');
        await victim.exited;
        tenant.kill('SIGUSR2');
        await tenant.line(/^moved in$/);
        await until('the tenant is HEALTHY', () => stage.instanceOf(tenant)?.state === 'HEALTHY');
        await removed(id);
      });

      expect(stage.portOf(tenant, 'tcp')).toBe(port);
      expect(run.violations, run.figures).toEqual([]);
      expectLost(run, id);
      expect(run.slow('find', BUSY_MS), run.figures).toEqual([]);
    }));
});
