import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFailed } from './load.js';
import { endAll, start } from './spawn.js';
import { openStage } from './stage.js';
import type { Stage } from './stage.js';
import { until } from './until.js';

describe('an address that another service takes over', () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await openStage({ intervalMs: 400, a: 2, b: 1 });
  });
  afterAll(async () => {
    await stage.close();
    await endAll();
  });

  it('executes no call that was meant for the dead one, which is never HEALTHY again', async () => {
    const victim = stage.services.a.at(0)!;
    const { id, endpoints } = stage.instanceOf(victim)!;
    const tenant = start('tenant', [], { ROLLCALL_URL: stage.url, PORT: String(endpoints.at(0)!.port) });
    await tenant.line(/^waiting$/);
    const load = stage.load(200);
    await until('the load runs', () => load.replies.length > 20);

    const diesAt = performance.now();
    victim.kill('SIGKILL');
    await victim.exited;
    tenant.kill('SIGUSR2');
    await tenant.line(/^moved in$/);
    await until('the tenant is HEALTHY', () => stage.instanceOf(tenant)?.state === 'HEALTHY');
    await until('the dead one is removed', () => stage.storyOf(id).at(-1)?.startsWith('REMOVED'));
    const enough = load.replies.length + 200;
    await until('the aftermath has been seen', () => load.replies.length >= enough);
    const replies = await load.stop();

    expect(replies.filter(isFailed)).toEqual([]);
    expect(tenant.out.filter((line) => line === 'executed')).toEqual([]);
    expect(stage.storyOf(id, diesAt).filter((step) => step.startsWith('HEALTHY'))).toEqual([]);
    tenant.kill('SIGKILL');
  });
});
