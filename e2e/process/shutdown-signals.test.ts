// The statements of docs/guide/shutdown.md about stopping processes: by which signal, and what is lost without enough
// time.
import { Rollcall } from '@rollcall/client';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import { endAll, start } from './spawn.js';
import { waitFor } from './wait-for.js';

let url = '';
let caller: Rollcall;

beforeAll(async () => {
  url = await urlOf(startRegistry(1_000, ['--memory']));
});
afterEach(() => caller.close());
afterAll(endAll);

/** An instance with one call in flight, which takes `ms`. */
async function busy(ms: number) {
  const reports = start('slow', [], { ROLLCALL_URL: url, MS: String(ms) });
  await reports.line(/ is HEALTHY/);
  caller = new Rollcall({ registry: url });
  const written = caller.call('reports', 'write', {}, { deadlineMs: 20_000 }).catch((error: unknown) => error);
  await reports.line(/^begun/);
  return { reports, written };
}

it.each(['SIGTERM', 'SIGINT', 'SIGUSR2'] as const)('%s drains: calls in flight are answered', async (signal) => {
  const { reports, written } = await busy(500);
  reports.kill(signal);
  expect(await written).toBe('written');
  await reports.line(/Drained in \d+ ms/);
  expect(await reports.exited).toMatchObject({ signal });
});

it('a SIGKILL before the end of the drain loses calls in flight', async () => {
  const { reports, written } = await busy(15_000);
  reports.kill('SIGINT');
  await waitFor('it drains', () => caller.service('reports').instances.at(0)?.state === 'DEREGISTERING');
  reports.kill('SIGKILL');
  expect(await written).toMatchObject({
    code: 'TRANSPORT',
    message: expect.stringContaining('may have been executed'),
  });
  await waitFor('no instance is listed any more', () => caller.service('reports').instances.length === 0, 30_000);
});
