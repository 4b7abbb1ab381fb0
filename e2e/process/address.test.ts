import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { burst, isFailed } from './load.js';
import type { Reply } from './load.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { openStage } from './stage.js';
import type { Stage } from './stage.js';
import { waitFor } from './wait-for.js';

/** Concurrent calls. */
const BURST = 64;
/** Bursts before the fault: they fill the budget for retries, which the retries of one burst must not exhaust. */
const WARM_UP = 10;

async function takeOverAddress(otherService: Child, victim: Child): Promise<void> {
  victim.kill('SIGKILL');
  await victim.exited;
  otherService.kill('SIGUSR2');
  await otherService.line(/^moved in$/);
}

const count = (otherService: Child, word: string): number => otherService.out.filter((line) => line === word).length;

describe('an address that another service takes over', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ intervalMs: 400, a: 3, b: 1 });
  }, 60_000);
  afterAll(async () => {
    await stage.close();
    await endAll();
  });

  /** Another service, which waits for the port of the victim. */
  async function startOtherService(victim: Child): Promise<Child> {
    const { endpoints } = stage.instanceOf(victim)!;
    const otherService = start('tenant', [], { ROLLCALL_URL: stage.url, PORT: String(endpoints.at(0)!.port) });
    await otherService.line(/^waiting$/);
    return otherService;
  }

  it('makes no dead instance HEALTHY again, and executes no call that was meant for it', async () => {
    const victim = stage.services.a.at(0)!;
    const id = stage.idOf(victim)!;
    const otherService = await startOtherService(victim);
    const load = stage.load(200);
    await waitFor('the load runs', () => load.replies.length > 20);

    const diesAt = performance.now();
    await takeOverAddress(otherService, victim);
    await waitFor('the other service is HEALTHY', () => stage.instanceOf(otherService)?.state === 'HEALTHY');
    await waitFor('the dead instance is removed', () => stage.historyOf(id).at(-1)?.startsWith('REMOVED'));
    await load.stop();

    expect(load.replies.filter(isFailed)).toEqual([]);
    expect(count(otherService, 'executed')).toBe(0);
    expect(stage.historyOf(id, diesAt).filter((step) => step.startsWith('HEALTHY'))).toEqual([]);
    otherService.kill('SIGKILL');
  });

  it('executes none even without a registry, as callers verify the identity of the callee', async () => {
    const victim = stage.services.a.at(1)!;
    const otherService = await startOtherService(victim);
    const replies: Reply[] = [];
    const calls = async (): Promise<void> => void replies.push(...(await burst(stage.gateway, '/a/ping', BURST)));
    for (let round = 0; round < WARM_UP; round += 1) await calls();

    stage.registry.kill('SIGKILL');
    await stage.registry.exited;
    await takeOverAddress(otherService, victim);
    // the balancer remembers that it failed, and tries it again when the others are busy
    for (let round = 0; round < 100 && count(otherService, 'knock') === 0; round += 1) await calls();
    await calls();

    expect(replies.filter(isFailed)).toEqual([]);
    expect(count(otherService, 'knock')).toBeGreaterThan(0);
    expect(count(otherService, 'executed')).toBe(0);
  });
});
