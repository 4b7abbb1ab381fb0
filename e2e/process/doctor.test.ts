// Provokes the findings of `rollcall doctor` about a registry that it reaches; proxies of the test replace what needs root or another machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRegistry as startInside } from '@rollcall/registry';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import {
  closeAll,
  codesOf,
  diagnose,
  finding,
  startRawService,
  closeLater,
  INTERVAL_MS,
  REGISTRY_CODES,
  provoked,
  startMemoryRegistry,
  startProxy,
  register,
} from './doctor-stage.js';
import { launch } from './launch.js';
import { endAll, PROGRAMS, start } from './spawn.js';
import { waitFor } from './wait-for.js';

const OPTIONS = { intervalMs: INTERVAL_MS };
const folder = mkdtempSync(join(tmpdir(), 'rollcall-doctor-'));

/** The call statistics that a caller reports for an instance. */
const target = (instance = '', failures = 0, circuit = 'closed'): object => ({
  instance,
  calls: 30,
  failures,
  p99Ms: 5,
  circuit,
});

/** Runs `ulimit` before the registry, in the same process. */
async function startLimitedRegistry(ulimit: string, ...args: string[]): Promise<string> {
  const command = [process.execPath, PROGRAMS.rollcall, 'up', '--json', '--port', '0', '--interval', '5000', ...args];
  return urlOf(launch('sh', ['-c', `ulimit ${ulimit} && exec "$@"`, 'sh', ...command]));
}

afterEach(async () => {
  await closeAll();
  await endAll();
});

afterAll(() => rmSync(folder, { recursive: true }));

describe('a registry in trouble', () => {
  it('is reported when its disk is full', async () => {
    const url = await startLimitedRegistry('-f 64', '--data', join(folder, 'full'));
    const note = 'x'.repeat(3_000);
    await waitFor('it refuses', async () => {
      const endpoints = [{ protocol: 'tcp', port: 9 }];
      const answer = await register(url, {
        id: `ledger-${Math.random()}`,
        service: 'ledgers',
        endpoints,
        metadata: { note },
      });
      return answer.status === 503;
    });
    finding(await diagnose(url, ['--no-ports']), 'store-trouble', /EFBIG|full/, /df -h/);
  });

  it('is reported when it runs out of open files', async () => {
    const diagnosis = await diagnose(await startLimitedRegistry('-n 240', '--memory'));
    finding(diagnosis, 'host-budget', /open files: \d+ of 240/, /ulimit -n/);
  });

  it('is reported when its clock is wrong', async () => {
    const url = await startProxy(await startMemoryRegistry(), { dateMs: -90_000 });
    finding(await diagnose(url), 'clock-skew', /Date: /, /timedatectl/);
  });

  it('is reported when it refuses registrations of ids and addresses that other instances own', async () => {
    const url = await startMemoryRegistry();
    const endpoints = [{ protocol: 'tcp', port: 9 }];
    await register(url, { id: 'twin-1', service: 'twin', endpoints });
    await register(url, { id: 'twin-1', service: 'twin', endpoints, secret: 'another-secret-of-132-b' });
    await register(url, { id: 'far-1', service: 'far', endpoints: [{ protocol: 'tcp', host: '192.0.2.1', port: 9 }] });
    await register(url, { id: 'odd-1', service: 'odd', endpoints: [{ protocol: 'tcp', port: 0 }] });
    const diagnosis = await diagnose(url, ['--no-ports']);
    finding(diagnosis, 'duplicate-id', /ID_HELD: The id twin-1/, /new id/);
    finding(diagnosis, 'address-not-allowed', /ADDRESS_NOT_ALLOWED: .*192\.0\.2\.1/, /Leave out the host/);
    finding(diagnosis, 'registration-refused', /INVALID/, /./);
  });

  it('is reported when its version is not that of its services', async () => {
    const url = await startMemoryRegistry();
    await startRawService(url, 'old', { intervalMs: INTERVAL_MS, metadata: { 'rollcall.version': '0.0.9' } });
    const diagnosis = await diagnose(url, ['old']);
    finding(diagnosis, 'version-skew', /rollcall\.version 0\.0\.9/, /npm install @rollcall\/nestjs@/);
  });

  it('is reported when it accepts no more instances', async () => {
    const registry = await startInside({ port: 0, maxInstances: 1 });
    closeLater(() => registry.close());
    await register(registry.url, { id: 'orders-1', service: 'orders', endpoints: [{ protocol: 'tcp', port: 9 }] });
    await register(registry.url, { id: 'orders-2', service: 'orders', endpoints: [{ protocol: 'tcp', port: 10 }] });
    finding(await diagnose(registry.url, ['--no-ports']), 'limit-reached', /TOO_MANY/, /raise maxInstances/);
  });

  it('is reported when a service has no callable instances, though all are HEALTHY', async () => {
    const url = await startMemoryRegistry();
    const all = await Promise.all(['a', 'b'].map(() => startRawService(url, 'drained', OPTIONS)));
    const summary = async (): Promise<unknown> =>
      ((await (await fetch(`${url}/api/v1/services`)).json()) as { services: unknown[] }).services[0];
    await waitFor('both are HEALTHY', async () => JSON.stringify(await summary()).includes('"HEALTHY":2'));
    for (const { id } of all) {
      const child = start('rollcall', ['drain', id, '--url', url, '--reason', 'new disk']);
      expect((await child.exited).code).toBe(0);
    }
    expect(await summary()).toMatchObject({ states: { HEALTHY: 2 }, callable: 0, admin: { DRAINING: 2 } });
    const diagnosis = await diagnose(url);
    const [one = { id: '' }] = all;
    const evidence = new RegExp(`${one.id} is DRAINING: drained \\d+ s ago by an operator \\(new disk\\)`);
    const fix = new RegExp(`rollcall undrain ${one.id}`);
    const { what } = finding(diagnosis, 'nobody-callable', evidence, fix);
    expect(what).toBe('No instance of drained may be called: 2 drained.');
    expect([diagnosis.code, diagnosis.findings[0]?.code]).toEqual([1, 'nobody-callable']);
    for (const { id } of all) {
      const child = start('rollcall', ['undrain', id, '--url', url]);
      expect((await child.exited).code).toBe(0);
    }
    expect(codesOf(await diagnose(url))).not.toContain('nobody-callable');
  });

  it('is reported when calls fail, and callers keep their circuits open', async () => {
    const url = await startMemoryRegistry();
    const [good, bad] = await Promise.all(['a', 'b'].map(() => startRawService(url, 'stock', OPTIONS)));
    const edge = { window: 7, windowMs: 5_000, retries: 12, p50Ms: 3, p99Ms: 9, inFlight: 0 };
    const targets = [target(good?.id), target(bad?.id, 20, 'open')];
    const caller = await startRawService(url, 'tills', {
      intervalMs: INTERVAL_MS,
      edges: [{ ...edge, service: 'stock', calls: 60, failures: 20, targets }],
    });
    const topology = async (): Promise<string> => (await fetch(`${url}/api/v1/topology`)).text();
    await waitFor('the registry knows of the calls', async () => (await topology()).includes('"failures":20'));
    const reported = /1 instance of tills reported it/;
    const diagnosis = await diagnose(url, ['tills']);
    const { what } = finding(diagnosis, 'calls-failing', reported, new RegExp(`rollcall drain ${bad?.id}`));
    expect(what).toMatch(/^tills → stock: 20 of 60 calls failed in the last 5 s\.$/);
    finding(diagnosis, 'circuit-open', /circuits of tills: 1 open/, new RegExp(`rollcall show ${bad?.id}`));
    expect(diagnosis.verdict).toContain('Elsewhere was not looked at.');
    expect(codesOf(await diagnose(url, [caller.id]))).not.toContain('calls-failing');
  });

  it('is reported when it holds instances that fell silent together', async () => {
    const url = await startMemoryRegistry();
    const crowd = await Promise.all(Array.from({ length: 12 }, () => startRawService(url, 'crowd', OPTIONS)));
    const states = async (): Promise<string[]> => {
      const answer = (await (await fetch(`${url}/api/v1/services/crowd`)).json()) as { instances: { state: string }[] };
      return answer.instances.map(({ state }) => state);
    };
    await waitFor('all are HEALTHY', async () => (await states()).every((state) => state === 'HEALTHY'));
    for (const one of crowd) [one.answers, one.beats] = [false, false];
    await waitFor('it holds', async () => {
      const { preservation } = (await (await fetch(`${url}/api/v1/registry`)).json()) as {
        preservation: { active: boolean };
      };
      return preservation.active;
    });
    finding(await diagnose(url, ['--no-ports']), 'self-preservation', /./, /network/);
  });
});

describe('a registry that is well', () => {
  it('is reported as well when its services are healthy, and the exit code is 0', async () => {
    // slow enough that a busy machine misses no heartbeat
    const url = await urlOf(startRegistry(1_000, ['--memory']));
    const services = ['orders', 'users'].map((SERVICE) =>
      start('worker', [], { ROLLCALL_URL: url, SERVICE, NOTES: join(folder, 'notes') }),
    );
    await waitFor('both are HEALTHY', async () => {
      const { services: all } = (await (await fetch(`${url}/api/v1/services`)).json()) as {
        services: { states: { HEALTHY: number } }[];
      };
      return all.filter(({ states }) => states.HEALTHY === 1).length === services.length;
    });
    const diagnosis = await diagnose(url);
    expect([codesOf(diagnosis), diagnosis.code]).toEqual([[], 0]);
    expect(diagnosis.fine).toEqual(
      expect.arrayContaining(['both heartbeats of 2 of 2 instances', 'the ports of 2 of 2 instances, tried from here']),
    );
    const text = start('rollcall', ['doctor', 'orders', '--url', url], { NO_COLOR: '1' });
    expect((await text.exited).code).toBe(0);
    expect(text.out.slice(0, 2).join('').replaceAll(/ +/g, ' ')).toBe(
      `● Nothing is wrong with orders (1 instance) and the registry at ${url}, as far as can be seen from here. Elsewhere was not looked at.`,
    );
    const unknown = start('rollcall', ['doctor', 'order', '--url', url]);
    expect((await unknown.exited).code).toBe(1);
    expect(unknown.err.join()).toContain('Did you mean orders?');
  });

  it('provokes every code of this file', () => {
    const here = [...provoked].filter((code) => REGISTRY_CODES.includes(code));
    expect(here.toSorted()).toEqual([...REGISTRY_CODES].toSorted());
  });
});
