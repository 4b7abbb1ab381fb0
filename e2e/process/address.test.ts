import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { burst, isFailed } from './load.js';
import type { Reply } from './load.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { openStage } from './stage.js';
import type { Stage } from './stage.js';
import { until } from './until.js';

/** Concurrent calls. */
const BURST = 64;
/** Bursts before the fault: they fill the budget for retries, which the retries of one burst must not exhaust. */
const WARM_UP = 10;

async function moveIn(tenant: Child, victim: Child): Promise<void> {
  victim.kill('SIGKILL');
  await victim.exited;
  tenant.kill('SIGUSR2');
  await tenant.line(/^moved in$/);
}

const count = (tenant: Child, word: string): number => tenant.out.filter((line) => line === word).length;

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
  async function tenantFor(victim: Child): Promise<Child> {
    const { endpoints } = stage.instanceOf(victim)!;
    const tenant = start('tenant', [], { ROLLCALL_URL: stage.url, PORT: String(endpoints.at(0)!.port) });
    await tenant.line(/^waiting$/);
    return tenant;
  }

  it('makes no dead instance HEALTHY again, and executes no call that was meant for it', async () => {
    const victim = stage.services.a.at(0)!;
    const id = stage.idOf(victim)!;
    const tenant = await tenantFor(victim);
    const load = stage.load(200);
    await until('the load runs', () => load.replies.length > 20);

    const diesAt = performance.now();
    await moveIn(tenant, victim);
    await until('the tenant is HEALTHY', () => stage.instanceOf(tenant)?.state === 'HEALTHY');
    await until('the dead one is removed', () => stage.storyOf(id).at(-1)?.startsWith('REMOVED'));
    await load.stop();

    expect(load.replies.filter(isFailed)).toEqual([]);
    expect(count(tenant, 'executed')).toBe(0);
    expect(stage.storyOf(id, diesAt).filter((step) => step.startsWith('HEALTHY'))).toEqual([]);
    tenant.kill('SIGKILL');
  });

  it('executes none even without a registry, as callers verify the identity of the callee', async () => {
    const victim = stage.services.a.at(1)!;
    const tenant = await tenantFor(victim);
    const replies: Reply[] = [];
    const calls = async (): Promise<void> => void replies.push(...(await burst(stage.gateway, '/a/ping', BURST)));
    for (let round = 0; round < WARM_UP; round += 1) await calls();

    stage.registry.kill('SIGKILL');
    await stage.registry.exited;
    await moveIn(tenant, victim);
    // the balancer remembers that it failed, and tries it again when the others are busy
    for (let round = 0; round < 100 && count(tenant, 'knock') === 0; round += 1) await calls();
    await calls();

    expect(replies.filter(isFailed)).toEqual([]);
    expect(count(tenant, 'knock')).toBeGreaterThan(0);
    expect(count(tenant, 'executed')).toBe(0);
  });
});
