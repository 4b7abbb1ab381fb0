import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFailed } from './load.js';
import { endAll } from './spawn.js';
import type { Child } from './spawn.js';
import { openStage, timed } from './stage.js';
import type { Stage } from './stage.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 500;
/** From the registry's decision to this process's copy, with two cores for nine processes: 50 ms, in intervals. */
const PROPAGATION_INTERVALS = 50 / INTERVAL_MS;
const PER_SECOND = 200;
/** The number of requests after the fault was dealt with: enough to see its effect on calls. */
const REQUESTS_AFTER_FAULT = 200;

describe('under load, three of a and two of b', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ intervalMs: INTERVAL_MS, a: 3, b: 2 });
  }, 60_000);
  afterAll(async () => {
    await stage.close();
    await endAll();
  });

  const living = (service: 'a' | 'b'): readonly Child[] => stage.services[service].filter(({ isAlive }) => isAlive);

  /** Runs `fault` under load, and some requests after it. Returns all of them, and those that failed. */
  async function runUnderLoad(fault: () => Promise<void>) {
    const load = stage.load(PER_SECOND);
    try {
      await waitFor('the load runs', () => load.replies.length > 20);
      await fault();
      const enough = load.replies.length + REQUESTS_AFTER_FAULT;
      await waitFor('the requests after the fault are answered', () => load.replies.length >= enough);
    } finally {
      await load.stop();
    }
    return { replies: load.replies, failed: load.replies.filter(isFailed) };
  }

  async function removed(id: string): Promise<void> {
    await waitFor(`${id} is removed`, () => stage.historyOf(id).at(-1)?.startsWith('REMOVED'));
  }

  it('SIGKILL of one of each fails no request; the dead are CRITICAL by proof, then gone', async () => {
    const victims = [living('a').at(0)!, living('b').at(0)!];
    const ids = victims.map((victim) => stage.idOf(victim)!);
    const { failed, replies } = await runUnderLoad(async () => {
      for (const victim of victims) victim.kill('SIGKILL');
      await Promise.all(ids.map(removed));
      stage.launch('a');
      stage.launch('b');
      await stage.waitUntilHealthy();
    });
    expect(failed).toEqual([]);
    for (const id of ids) {
      expect(stage.historyOf(id).slice(-3)).toEqual([
        'CRITICAL PROOF_OF_DEATH',
        'DEREGISTERING PROOF_OF_DEATH',
        'REMOVED PROOF_OF_DEATH',
      ]);
    }
    for (const child of [...living('a'), ...living('b')]) {
      expect(replies.some(({ instance }) => instance === stage.idOf(child))).toBe(true);
    }
  });

  it('SIGTERM of each in turn fails no request; each deregisters and exits', async () => {
    const turn = [...living('a'), ...living('b')];
    const { failed } = await runUnderLoad(async () => {
      for (const child of turn) {
        stage.launch(stage.services.a.includes(child) ? 'a' : 'b');
        await stage.waitUntilHealthy();
        child.kill('SIGTERM');
        await child.exited;
        await removed(stage.idOf(child)!);
      }
    });
    expect(failed).toEqual([]);
    for (const child of turn) {
      expect(stage.historyOf(stage.idOf(child)!).slice(-2)).toEqual(['DEREGISTERING LEAVING', 'REMOVED GOODBYE']);
      expect(await child.exited).toEqual({ code: null, signal: 'SIGTERM' });
    }
  });

  it('SIGSTOP of one a fails no request; it is UNHEALTHY within 2.5 intervals, with the direction, and recovers', () =>
    timed(INTERVAL_MS, async (lag) => {
      const victim = living('a').at(0)!;
      const id = stage.idOf(victim)!;
      const stoppedAt = performance.now();
      const { failed, replies } = await runUnderLoad(async () => {
        victim.kill('SIGSTOP');
        await waitFor('the frozen one is UNHEALTHY', () => stage.historyOf(id, stoppedAt).length > 0);
      });
      const fall = stage.history.find((seen) => seen.instance.id === id && seen.at >= stoppedAt)!;
      victim.kill('SIGCONT');
      await stage.waitUntilHealthy();
      expect(failed).toEqual([]);
      expect(stage.historyOf(id, stoppedAt)[0]).toMatch(/^UNHEALTHY (INBOUND_SILENT|OUTBOUND_SILENT|SILENT)$/);
      expect(fall.instance.reason.text).toMatch(/Heartbeat-[12]/);
      expect((fall.at - stoppedAt) / INTERVAL_MS).toBeLessThanOrEqual(2.5 + PROPAGATION_INTERVALS + lag());
      expect(replies.filter(({ ms }) => ms > 500).length).toBeLessThanOrEqual(8);
    }));

  it('a registry that is killed and comes back on its port fails no request, and knows every instance within an interval', () =>
    timed(INTERVAL_MS, async (lag) => {
      const before = stage.instances.map(({ id }) => id).toSorted();
      const { failed } = await runUnderLoad(async () => {
        stage.registry.kill('SIGKILL');
        await stage.registry.exited;
        await stage.restartRegistry();
        const servesAt = performance.now();
        await waitFor('the new registry knows all instances', () => stage.instances.length === before.length);
        await stage.waitUntilHealthy();
        // one interval, plus the time to start calling and to receive the first record
        expect((performance.now() - servesAt) / INTERVAL_MS).toBeLessThanOrEqual(1.5 + lag());
      });
      expect(failed).toEqual([]);
      expect(stage.instances.map(({ id }) => id).toSorted()).toEqual(before);
    }));
});
