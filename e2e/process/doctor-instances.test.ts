// Provokes each finding of `rollcall doctor` about instances for real. Proxies of the test replace what would need a
// network of its own: a firewall that lets only some connections through, a proxy that cuts the change feed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import {
  closeAll,
  diagnose,
  finding,
  startRawService,
  INSTANCE_CODES,
  startPickyProxy,
  provoked,
  startProxy,
} from './doctor-stage.js';
import type { RawService, RawServiceOptions } from './doctor-stage.js';
import { endAll, start } from './spawn.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 200;
const folder = mkdtempSync(join(tmpdir(), 'rollcall-doctor-'));
afterAll(async () => {
  await closeAll();
  await endAll();
  rmSync(folder, { recursive: true });
});

describe('rollcall doctor, at a registry without tokens,', () => {
  let url = '';
  let flapper: RawService;
  const startService = (service: string, serviceOptions: Partial<RawServiceOptions> = {}): Promise<RawService> =>
    startRawService(url, service, { intervalMs: INTERVAL_MS, ...serviceOptions });
  const stateOf = async ({ id }: RawService): Promise<string> =>
    ((await (await fetch(`${url}/api/v1/instances/${id}`)).json()) as { state: string }).state;
  const waitForState = (one: RawService, ...states: string[]): Promise<unknown> =>
    waitFor(`${one.id} is ${states.join(' or ')}`, async () => states.includes(await stateOf(one)));

  beforeAll(async () => {
    url = await urlOf(startRegistry(INTERVAL_MS, ['--memory', '--host', '0.0.0.0', '--insecure']));
    // its detection takes a while: meanwhile the other findings are tested
    const careless = start('tenant', [], { ROLLCALL_URL: url, PORT: '0' });
    await careless.line(/^waiting$/);
    careless.kill('SIGUSR2');
    flapper = await startService('flapper');
  }, 30_000);

  it('reports an instance whose port is closed', async () => {
    const one = await startService('closed');
    await waitForState(one, 'HEALTHY');
    await one.closePort();
    await waitForState(one, 'UNHEALTHY', 'CRITICAL');
    const { evidence } = finding(
      await diagnose(url, ['closed']),
      'port-not-listening',
      /Heartbeat-1.*ECONNREFUSED/,
      /ss -ltnp/,
    );
    expect(evidence.at(-1)).toMatch(/tried from here, http:.*ECONNREFUSED/);
  });

  it('reports an instance that accepts connections and sends nothing', async () => {
    const one = await startService('frozen');
    await waitForState(one, 'HEALTHY');
    one.answers = false;
    await waitForState(one, 'UNHEALTHY', 'CRITICAL');
    const { evidence } = finding(
      await diagnose(url, ['frozen']),
      'heartbeat-1-unanswered',
      /Heartbeat-1.*missed/,
      /ps -o stat/,
    );
    expect(evidence.join('\n')).toMatch(/Heartbeat-2.*last came/);
  });

  it('reports an instance that does not reach the registry', async () => {
    const one = await startService('cut-off');
    await waitForState(one, 'HEALTHY');
    one.beats = false;
    await waitForState(one, 'UNHEALTHY', 'CRITICAL');
    finding(
      await diagnose(url, ['cut-off']),
      'heartbeat-2-missing',
      /Heartbeat-2.*last came .* ago; \d+ missed/,
      /curl -sS .*\/health\/live/,
    );
  });

  it('reports an instance that this machine reaches and the registry does not', async () => {
    let port = 0;
    const place = {
      port: await startPickyProxy(
        () => port,
        (first) => !first.includes('"mac"'),
      ),
    };
    const one = await startService('walled', { place });
    ({ port } = one);
    await waitFor('a call has failed', async () =>
      JSON.stringify(await (await fetch(`${url}/api/v1/instances/${one.id}`)).json()).includes('"misses":3'),
    );
    const { evidence } = finding(
      await diagnose(url, ['walled']),
      'not-reachable-from-registry',
      /Heartbeat-1.*never answered/,
      /advertiseHost/,
    );
    expect(evidence.at(-1)).toContain(`it says that it is ${one.id}`);
  });

  it('reports an instance that the registry reaches and this machine does not', async () => {
    let port = 0;
    const place = {
      port: await startPickyProxy(
        () => port,
        (first) => first.includes('"mac"'),
      ),
    };
    const one = await startService('hidden', { place });
    ({ port } = one);
    await waitForState(one, 'HEALTHY');
    finding(
      await diagnose(url, ['hidden']),
      'not-reachable-from-here',
      /tried from here.*ECONNRESET/,
      /rollcall doctor --url/,
    );
  });

  it('reports an instance whose address another instance has', async () => {
    const one = await startService('ousted');
    await waitForState(one, 'HEALTHY');
    one.name = 'somebody-else';
    finding(await diagnose(url, ['ousted']), 'address-taken', /it says that it is somebody-else/, /port of its own/);
  });

  it('reports instances that share one address', async () => {
    const one = await startService('shared');
    await waitForState(one, 'HEALTHY');
    one.twin = 'shared-twin';
    await startService('shared', { id: one.twin, place: { port: one.port } });
    const reason = async (): Promise<boolean> =>
      JSON.stringify(await (await fetch(`${url}/api/v1/services/shared`)).json()).includes('ADDRESS_SHARED');
    await waitFor('the shared address is detected', reason);
    finding(await diagnose(url, ['shared', '--no-ports']), 'address-shared', /in turns/, /port of its own/);
  });

  it('reports an instance whose change feed is cut', async () => {
    const way = await startProxy(url, { cuts: (path) => path.startsWith('/api/v1/watch') });
    const behind = start('worker', [], { ROLLCALL_URL: way, SERVICE: 'behind', NOTES: join(folder, 'notes') });
    const codes = async (): Promise<boolean> => {
      if (!behind.isAlive) throw new Error(behind.err.join('\n'));
      const { instances } = (await (await fetch(`${url}/api/v1/services/behind`)).json()) as {
        instances?: { state: string; registeredAt: number }[];
      };
      return instances?.some(({ registeredAt }) => Date.now() - registeredAt > 3 * INTERVAL_MS) === true;
    };
    await waitFor('it is there', codes);
    finding(await diagnose(url, ['behind']), 'stale-copy', /line false/, /proxy_buffering off/);
  });

  it('reports an instance that fails repeatedly or does not drain, and addresses that only this machine can call', async () => {
    for (let fall = 0; fall < 4; fall += 1) {
      await waitForState(flapper, 'HEALTHY');
      flapper.answers = false;
      await waitForState(flapper, 'UNHEALTHY', 'CRITICAL');
      flapper.answers = true;
    }
    await waitFor('it is reported', async () =>
      (await (await fetch(`${url}/api/v1/services/tenant`)).text()).includes('rollcall.shutdown-hooks'),
    );
    const diagnosis = await diagnose(url, ['--no-ports']);
    finding(diagnosis, 'flapping', /falls \d\.\d/, /rollcall show flapper-/);
    finding(diagnosis, 'shutdown-hooks-off', /rollcall\.shutdown-hooks off/, /app\.enableShutdownHooks\(\)/);
    finding(diagnosis, 'loopback-address', /the registry listens at 0\.0\.0\.0/, /host: '0\.0\.0\.0'/);
    finding(diagnosis, 'insecure-registry', /insecure true/, /rollcall token create/);
    expect(diagnosis.code).toBe(1);
    const gravities = diagnosis.findings.map(({ gravity }) => ['broken', 'risk', 'note'].indexOf(gravity));
    expect(gravities).toEqual(gravities.toSorted((one, other) => one - other));
    expect((await diagnose(url, ['--no-ports', flapper.id])).findings.flatMap(({ instances }) => instances)).toContain(
      flapper.id,
    );
  });

  it('provokes every code of this file', () => {
    expect([...provoked].filter((code) => INSTANCE_CODES.includes(code)).toSorted()).toEqual(
      [...INSTANCE_CODES].toSorted(),
    );
  });
});
