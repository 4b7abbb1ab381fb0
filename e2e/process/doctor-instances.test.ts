// Provokes each finding of `rollcall doctor` about instances for real. Proxies of the test replace what would need a
// network of its own: a firewall that lets only some connections through, a proxy that cuts the change feed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRegistry, urlOf } from './by-hand.js';
import { closeAll, diagnose, found, handMade, OF_INSTANCES, pickyProxy, provoked, proxyOf } from './doctor-stage.js';
import type { HandMade, Making } from './doctor-stage.js';
import { endAll, start } from './spawn.js';
import { until } from './until.js';

const INTERVAL_MS = 200;
const folder = mkdtempSync(join(tmpdir(), 'rollcall-doctor-'));
afterAll(async () => {
  await closeAll();
  await endAll();
  rmSync(folder, { recursive: true });
});

describe('finds an instance, at a registry without tokens,', () => {
  let url = '';
  let flapper: HandMade;
  const byHand = (service: string, making: Partial<Making> = {}): Promise<HandMade> =>
    handMade(url, service, { intervalMs: INTERVAL_MS, ...making });
  const stateOf = async ({ id }: HandMade): Promise<string> =>
    ((await (await fetch(`${url}/api/v1/instances/${id}`)).json()) as { state: string }).state;
  const becomes = (one: HandMade, ...states: string[]): Promise<unknown> =>
    until(`${one.id} is ${states.join(' or ')}`, async () => states.includes(await stateOf(one)));

  beforeAll(async () => {
    url = await urlOf(startRegistry(INTERVAL_MS, ['--memory', '--host', '0.0.0.0', '--insecure']));
    // its detection takes a while: meanwhile the other findings are tested
    const careless = start('tenant', [], { ROLLCALL_URL: url, PORT: '0' });
    await careless.line(/^waiting$/);
    careless.kill('SIGUSR2');
    flapper = await byHand('flapper');
  }, 30_000);

  it('whose port is closed', async () => {
    const one = await byHand('closed');
    await becomes(one, 'HEALTHY');
    await one.hangUp();
    await becomes(one, 'UNHEALTHY', 'CRITICAL');
    const { evidence } = found(
      await diagnose(url, ['closed']),
      'port-not-listening',
      /Heartbeat-1.*ECONNREFUSED/,
      /ss -ltnp/,
    );
    expect(evidence.at(-1)).toMatch(/tried from here, http:.*ECONNREFUSED/);
  });

  it('that accepts connections and sends nothing', async () => {
    const one = await byHand('frozen');
    await becomes(one, 'HEALTHY');
    one.answers = false;
    await becomes(one, 'UNHEALTHY', 'CRITICAL');
    const { evidence } = found(
      await diagnose(url, ['frozen']),
      'heartbeat-1-unanswered',
      /Heartbeat-1.*missed/,
      /ps -o stat/,
    );
    expect(evidence.join('\n')).toMatch(/Heartbeat-2.*last came/);
  });

  it('that does not reach the registry', async () => {
    const one = await byHand('cut-off');
    await becomes(one, 'HEALTHY');
    one.beats = false;
    await becomes(one, 'UNHEALTHY', 'CRITICAL');
    found(
      await diagnose(url, ['cut-off']),
      'heartbeat-2-missing',
      /Heartbeat-2.*last came .* ago; \d+ missed/,
      /curl -sS .*\/health\/live/,
    );
  });

  it('that this machine reaches and the registry does not', async () => {
    let port = 0;
    const place = {
      port: await pickyProxy(
        () => port,
        (first) => !first.includes('"mac"'),
      ),
    };
    const one = await byHand('walled', { place });
    ({ port } = one);
    await until('a call has failed', async () =>
      JSON.stringify(await (await fetch(`${url}/api/v1/instances/${one.id}`)).json()).includes('"misses":3'),
    );
    const { evidence } = found(
      await diagnose(url, ['walled']),
      'not-reachable-from-registry',
      /Heartbeat-1.*never answered/,
      /advertiseHost/,
    );
    expect(evidence.at(-1)).toContain(`it says that it is ${one.id}`);
  });

  it('that the registry reaches and this machine does not', async () => {
    let port = 0;
    const place = {
      port: await pickyProxy(
        () => port,
        (first) => first.includes('"mac"'),
      ),
    };
    const one = await byHand('hidden', { place });
    ({ port } = one);
    await becomes(one, 'HEALTHY');
    found(
      await diagnose(url, ['hidden']),
      'not-reachable-from-here',
      /tried from here.*ECONNRESET/,
      /rollcall doctor --url/,
    );
  });

  it('whose address another instance has', async () => {
    const one = await byHand('ousted');
    await becomes(one, 'HEALTHY');
    one.name = 'somebody-else';
    found(await diagnose(url, ['ousted']), 'address-taken', /it says that it is somebody-else/, /port of its own/);
  });

  it('that share one address', async () => {
    const one = await byHand('shared');
    await becomes(one, 'HEALTHY');
    one.twin = 'shared-twin';
    await byHand('shared', { id: one.twin, place: { port: one.port } });
    const reason = async (): Promise<boolean> =>
      JSON.stringify(await (await fetch(`${url}/api/v1/services/shared`)).json()).includes('ADDRESS_SHARED');
    await until('the shared address is detected', reason);
    found(await diagnose(url, ['shared', '--no-ports']), 'address-shared', /in turns/, /port of its own/);
  });

  it('whose change feed is cut', async () => {
    const way = await proxyOf(url, { cuts: (path) => path.startsWith('/api/v1/watch') });
    const behind = start('worker', [], { ROLLCALL_URL: way, SERVICE: 'behind', NOTES: join(folder, 'notes') });
    const codes = async (): Promise<boolean> => {
      if (!behind.isAlive) throw new Error(behind.err.join('\n'));
      const { instances } = (await (await fetch(`${url}/api/v1/services/behind`)).json()) as {
        instances?: { state: string; registeredAt: number }[];
      };
      return instances?.some(({ registeredAt }) => Date.now() - registeredAt > 3 * INTERVAL_MS) === true;
    };
    await until('it is there', codes);
    found(await diagnose(url, ['behind']), 'stale-copy', /line false/, /proxy_buffering off/);
  });

  it('that fails repeatedly or does not drain; and addresses that only this machine can call', async () => {
    for (let fall = 0; fall < 4; fall += 1) {
      await becomes(flapper, 'HEALTHY');
      flapper.answers = false;
      await becomes(flapper, 'UNHEALTHY', 'CRITICAL');
      flapper.answers = true;
    }
    await until('it is reported', async () =>
      (await (await fetch(`${url}/api/v1/services/tenant`)).text()).includes('rollcall.shutdown-hooks'),
    );
    const diagnosed = await diagnose(url, ['--no-ports']);
    found(diagnosed, 'flapping', /falls \d\.\d/, /rollcall show flapper-/);
    found(diagnosed, 'shutdown-hooks-off', /rollcall\.shutdown-hooks off/, /app\.enableShutdownHooks\(\)/);
    found(diagnosed, 'loopback-address', /the registry listens at 0\.0\.0\.0/, /host: '0\.0\.0\.0'/);
    found(diagnosed, 'insecure-registry', /insecure true/, /rollcall token create/);
    expect(diagnosed.code).toBe(1);
    const gravities = diagnosed.findings.map(({ gravity }) => ['broken', 'risk', 'note'].indexOf(gravity));
    expect(gravities).toEqual(gravities.toSorted((one, other) => one - other));
    expect((await diagnose(url, ['--no-ports', flapper.id])).findings.flatMap(({ instances }) => instances)).toContain(
      flapper.id,
    );
  });

  it('provokes every code of this file', () => {
    expect([...provoked].filter((code) => OF_INSTANCES.includes(code)).toSorted()).toEqual(
      [...OF_INSTANCES].toSorted(),
    );
  });
});
