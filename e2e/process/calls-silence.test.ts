import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { variants } from '../variants.js';
import { repeatIfLate } from './call-run.js';
import type { Run } from './call-run.js';
import { openCallStage } from './call-stage.js';
import type { CallStage, Over } from './call-stage.js';
import { dropPackets } from './packet-drop.js';
import { endAll } from './spawn.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 500;
const PROTOCOLS = variants<Over>(['tcp', 'http'], (over) => over, ['tcp']);
const BOOK_DEADLINE_MS = 1_500;
/** The number of calls in flight at the instance before it falls silent. */
const IN_FLIGHT = 4;
/** The wait before the next attempt: 3 × the p99 of the method, at least this, at most that. */
const ATTEMPT_MS = 150;
const MAX_ATTEMPT_MS = 2_000;
/** The time from the first silence until the caller reacts to it: what is sent meanwhile has to wait. */
const NOTICED_MS = 200;

/**
 * Calls that must not be repeated failed there and nowhere else, at their deadline, and report that they may have been
 * executed.
 */
function expectLost(run: Run, victim: string): void {
  const lost = run.failed('book').map(({ failure }) => failure);
  const expected = {
    code: 'DEADLINE_EXCEEDED',
    text: expect.stringMatching(/^orders did not answer within 1\d{3} ms, in 1 attempt\..* It may have been executed/),
    retryable: false,
    attempts: [`${victim} timeout`],
  };
  expect(lost, run.figures).toEqual(lost.map(() => expected));
}

/**
 * Few waited for an attempt that was given up: those in flight there, and its share of the calls until the caller
 * noticed.
 */
function expectFewSlow(run: Run, inFlight: number): void {
  const share = run.expectedCalls('find', NOTICED_MS + run.noiseMs) / 3;
  expect(run.slow('find', ATTEMPT_MS / 2).length, run.figures).toBeLessThanOrEqual(inFlight + share);
  expect(run.quantileMs('find', 0.99), run.figures).toBeLessThanOrEqual(2 * ATTEMPT_MS);
  expect(run.slow('find', MAX_ATTEMPT_MS), run.figures).toEqual([]);
}

describe('under an open-loop load', () => {
  let stage: CallStage;

  beforeAll(async () => {
    stage = await openCallStage({ intervalMs: INTERVAL_MS, bookDeadlineMs: BOOK_DEADLINE_MS });
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

  it.each(PROTOCOLS)(
    'SIGSTOP of one of three fails over %s only its in-flight calls that must not be repeated',
    (over) =>
      withRestore(async () => {
        const victim = stage.liveWorkers.at(0)!;
        const id = stage.idOf(victim);
        let inFlight = 0;
        const run = await stage.runUnderLoad(over, async () => {
          inFlight = await stage.waitUntilBusy(id, over, IN_FLIGHT);
          victim.kill('SIGSTOP');
          await stage.waitUntilAvoided(id, over);
          victim.kill('SIGCONT');
          await stage.waitUntilHealthy();
        });

        expect(run.violations, run.figures).toEqual([]);
        expectLost(run, id);
        expect(run.failed('book').length, run.figures).toBeGreaterThan(0);
        expectFewSlow(run, inFlight);
      }),
  );

  it('packet loss to one of three fails only its in-flight calls that must not be repeated', ({ skip }) =>
    withRestore(async () => {
      const victim = stage.liveWorkers.at(1)!;
      const id = stage.idOf(victim);
      let inFlight = 0;
      let canDrop = true;
      const run = await stage.runUnderLoad('tcp', async () => {
        inFlight = await stage.waitUntilBusy(id, 'tcp', IN_FLIGHT);
        const drop = await dropPackets(stage.portOf(victim, 'tcp'));
        canDrop = drop !== null;
        if (drop === null) return;
        try {
          await stage.waitUntilAvoided(id, 'tcp');
        } finally {
          await drop.end();
        }
        await stage.waitUntilHealthy();
      });
      if (!canDrop) return skip('needs the right to drop packets');

      expect(run.violations, run.figures).toEqual([]);
      expectLost(run, id);
      expectFewSlow(run, inFlight);
    }));

  it('an instance that answers only the registry is detected by its callers', () =>
    withRestore(async () => {
      const wire = await stage.launchWire('mute');
      const id = stage.idOf(wire);
      const mutedAt = performance.now();
      const run = await stage.runUnderLoad('tcp', async () => {
        await stage.waitUntilAnswered(id, 'tcp');
        wire.kill('SIGUSR2');
        await wire.line(/^faulty$/);
        await stage.waitUntilAvoided(id, 'tcp');
      });

      expect(stage.witness.historyOf(id, mutedAt)).toEqual([]);
      expect(run.violations, run.figures).toEqual([]);
      expectLost(run, id);
      expectFewSlow(run, IN_FLIGHT);
    }));

  it('an instance that accepts no connection fails no call', () =>
    withRestore(async () => {
      const wire = await stage.launchWire('full');
      const id = stage.idOf(wire);
      stage.version = '1';
      let sockets: readonly Socket[] = [];
      const run = await stage.runUnderLoad('tcp', async () => {
        wire.kill('SIGSTOP');
        sockets = await fillQueue(stage.portOf(wire, 'tcp'));
        stage.version = undefined;
        await waitFor('it is called', () => (stage.viewOf(id, 'tcp')?.callsUnderWay ?? 0) > 0);
        await stage.waitUntilAvoided(id, 'tcp');
      });
      for (const socket of sockets) socket.destroy();

      expect(run.violations, run.figures).toEqual([]);
      expect(run.failed('book'), run.figures).toEqual([]);
      expectFewSlow(run, IN_FLIGHT);
    }));
});

/** Opens connections to a server that accepts none, until the SYN of one more gets no answer. */
async function fillQueue(port: number): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  let dialledAt = 0;
  await waitFor('the accept queue is full', () => {
    const last = sockets.at(-1);
    if (last?.connecting === true) return performance.now() > dialledAt + 100;
    sockets.push(connect(port, '127.0.0.1').on('error', () => {}));
    dialledAt = performance.now();
    return false;
  });
  return sockets;
}
