import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { variants } from '../variants.js';
import { repeatIfLate } from './call-run.js';
import type { Run } from './call-run.js';
import { openCallStage } from './call-stage.js';
import type { CallStage, Over } from './call-stage.js';
import { endAll } from './spawn.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 500;
/** `shortProtocol`: the protocol that `npm test` runs. */
const protocols = (shortProtocol: Over): readonly Over[] =>
  variants<Over>(['tcp', 'http'], (over) => over, [shortProtocol]);
/** The number of calls in flight at the instance before it is killed: most of them must not be repeated. */
const IN_FLIGHT = 4;
/** The time until the caller notices the end of a connection, ms: what is sent meanwhile is lost, too. */
const NOTICED_MS = 20;
/** A call that is repeated elsewhere at once takes no longer than this, ms. */
const RETRY_MS = 100;
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

  const withRestore = (run: () => Promise<void>): Promise<void> =>
    repeatIfLate(INTERVAL_MS, async () => {
      await stage.restore();
      await run();
    });

  const removed = (id: string): Promise<unknown> =>
    waitFor(`${id} is removed`, () => stage.witness.historyOf(id).at(-1)?.startsWith('REMOVED'));

  it.each(protocols('tcp'))(
    'SIGKILL of one of three fails over %s only its in-flight calls that must not be repeated',
    (over) =>
      withRestore(async () => {
        const victim = stage.liveWorkers.at(0)!;
        const id = stage.idOf(victim);
        let inFlight = 0;
        let diedAt = 0;
        const run = await stage.runUnderLoad(over, async () => {
          inFlight = await stage.waitUntilBusy(id, over, IN_FLIGHT);
          diedAt = performance.now();
          victim.kill('SIGKILL');
          await removed(id);
        });

        expect(run.violations, run.figures).toEqual([]);
        expectLost(run, id);
        const lost = run.failed('book');
        expect(lost.length, run.figures).toBeGreaterThan(0);
        expect(lost.length, run.figures).toBeLessThanOrEqual(
          inFlight + run.expectedCalls('book', NOTICED_MS + run.noiseMs),
        );
        expect(lost.filter(({ dueAt }) => dueAt > diedAt + NOTICED_MS + run.noiseMs)).toEqual([]);
        expect(run.slow('find', RETRY_MS), run.figures).toEqual([]);
      }),
  );

  it.each(protocols('http'))(
    'connections that break in the middle of an answer fail over %s no call that may be repeated',
    (over) =>
      withRestore(async () => {
        const wire = await stage.launchWire('half');
        const id = stage.idOf(wire);
        const run = await stage.runUnderLoad(over, async (load) => {
          await stage.waitUntilAnswered(id, over);
          wire.kill('SIGUSR2');
          await wire.line(/^faulty$/);
          await wire.line(/^broke off$/);
          await stage.waitForLoad(load, 1);
        });

        expect(run.violations, run.figures).toEqual([]);
        expectLost(run, id);
        expect(run.slow('find', RETRY_MS), run.figures).toEqual([]);
      }),
  );

  it.each(protocols('tcp'))('SIGTERM of all three, one after the other, fails no call over %s', (over) =>
    withRestore(async () => {
      const run = await stage.runUnderLoad(over, async () => {
        for (const child of stage.liveWorkers) {
          child.kill('SIGTERM');
          await child.exited;
          stage.launch();
          await stage.waitUntilHealthy();
        }
      });

      expect(run.violations, run.figures).toEqual([]);
      expect(run.failed('book'), run.figures).toEqual([]);
      expect(run.slow('find', BUSY_MS), run.figures).toEqual([]);
    }),
  );

  it('another service at the address of a dead instance executes none of its calls', () =>
    withRestore(async () => {
      const victim = stage.liveWorkers.at(0)!;
      const id = stage.idOf(victim);
      const port = stage.portOf(victim, 'tcp');
      const otherService = await stage.launchOtherService(port);
      const run = await stage.runUnderLoad('tcp', async () => {
        victim.kill('SIGKILL');
        await victim.exited;
        otherService.kill('SIGUSR2');
        await otherService.line(/^moved in$/);
        await waitFor('the other service is HEALTHY', () => stage.instanceOf(otherService)?.state === 'HEALTHY');
        await removed(id);
      });

      expect(stage.portOf(otherService, 'tcp')).toBe(port);
      expect(run.violations, run.figures).toEqual([]);
      expectLost(run, id);
      expect(run.slow('find', BUSY_MS), run.figures).toEqual([]);
    }));
});
