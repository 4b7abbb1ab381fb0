// `rollcall doctor` on failing calls: a real caller keeps calling a service whose only instance was drained.
import { afterAll, expect, it } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import { closeAll, codesOf, diagnose, finding, closeLater } from './doctor-stage.js';
import { endAll, start } from './spawn.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 500;
const ASKS_EVERY_MS = 100;
afterAll(async () => {
  await closeAll();
  await endAll();
});

it('reports failing calls to a service without callable instances, for the caller and for the service', async () => {
  const url = await urlOf(startRegistry(INTERVAL_MS, ['--memory']));
  start('metered', [], { ROLLCALL_URL: url, SERVICE: 'shop' });
  const gateway = start('metered', [], { ROLLCALL_URL: url, SERVICE: 'gateway' });
  const port = (await gateway.line(/^listening \d+$/)).split(' ')[1] ?? '';
  const ask = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/ask/shop`).then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.ok;
      },
      () => false,
    );
  await waitFor('the gateway calls it', ask);
  const { instances } = (await (await fetch(`${url}/api/v1/services/shop`)).json()) as { instances: { id: string }[] };
  const id = instances[0]?.id ?? '';
  expect(codesOf(await diagnose(url, ['gateway', '--no-ports']))).not.toContain('calls-failing');

  const asking = setInterval(() => void ask(), ASKS_EVERY_MS);
  closeLater(() => clearInterval(asking));
  expect((await start('rollcall', ['drain', id, '--url', url, '--reason', 'new disk']).exited).code).toBe(0);
  const failures = async (): Promise<boolean> => {
    const { edges } = (await (await fetch(`${url}/api/v1/topology`)).json()) as {
      edges: { calls: number; failures: number }[];
    };
    return edges.some((edge) => edge.failures >= 3 && edge.failures === edge.calls);
  };
  await waitFor('the gateway reports its failures', failures, 40_000);

  for (const word of ['gateway', 'shop', id]) {
    const diagnosis = await diagnose(url, [word, '--no-ports']);
    const one = finding(diagnosis, 'calls-failing', /of shop 0 of 1 may be called/, /rollcall doctor shop/);
    expect(one.what).toMatch(/^gateway → shop: \d+ of \d+ calls failed in .* \(no instance of shop may be called\)\.$/);
    expect(one.gravity).toBe('broken');
    expect(diagnosis.code).toBe(1);
    expect(diagnosis.verdict).toMatch(/Elsewhere was not looked at\.$/);
  }
});
