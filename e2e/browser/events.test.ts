import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import { readFile } from 'node:fs/promises';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';

const SECRET = 'a-secret-of-132-bits-22';
/** More than two pages of the screen. */
const EVENTS = 450;

describe.skipIf(browserSkipReason !== null)('the events of the dashboard', () => {
  let browser: Browser;
  let registry: RunningRegistry;

  const send = async (
    method: string,
    path: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<void> => {
    const answer = await fetch(`${registry.url}/api/v1/${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    expect(answer.ok).toBe(true);
  };
  const register = (id: string, service: string, namespace: string): Promise<void> =>
    send('POST', 'register', {
      id,
      service,
      namespace,
      secret: SECRET,
      endpoints: [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }],
    });

  beforeAll(async () => {
    [browser, registry] = await Promise.all([launchBrowser(), startRegistry({ port: 0, intervalMs: 60_000 })]);
    await register('orders-1e07', 'orders', 'default');
    await register('gateway-6f80', 'gateway', 'default');
    await register('orders-77aa', 'orders', 'staging');
    for (let count = 1; count <= EVENTS; count += 1)
      await send('PATCH', 'instances/orders-1e07', { weight: count }, { 'x-rollcall-operator': '1' });
    const target = { instance: 'orders-1e07', calls: 5, failures: 5, p99Ms: 20, circuit: 'open' };
    const counts = { windowMs: 5_000, calls: 10, failures: 0, retries: 2, p50Ms: 3, p99Ms: 42, inFlight: 0, window: 1 };
    const edges = [{ service: 'orders', ...counts, targets: [target] }];
    await send(
      'POST',
      'instances/gateway-6f80/heartbeat',
      { nonce: null, seq: 1, edges },
      { authorization: `Bearer ${SECRET}` },
    );
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await registry?.close();
  });

  const rows = 'tr[data-row]';

  it('are filtered by the registry, by every parameter of the URL', async () => {
    const { page, faults } = await visit(browser, `${registry.url}/#/events?instance=orders-77aa`);
    await page.locator(rows).first().waitFor();
    expect(await page.locator(rows).count()).toBe(1);
    // its namespace is shown once several are known
    const row = page.locator(rows);
    await expect.poll(() => row.innerText()).toMatch(/REGISTERING.*staging\/orders…77aa.*registered/s);
    await page.goto(`${registry.url}/#/events?kind=Circuits`);
    await page.getByText('opened its circuit to orders…1e07').waitFor();
    expect(await page.locator(rows).count()).toBe(1);
    await page.getByLabel('state').selectOption('CRITICAL');
    await page.getByText('No event fits.').waitFor();
    await page.goto(`${registry.url}/#/events?ns=staging&to=1000`);
    await page.getByText('No event fits.').waitFor();
    await page.goto(`${registry.url}/#/events?ns=staging&from=1000`);
    await page.getByText('staging/orders…77aa').waitFor();
    expect(await page.getByLabel('from').inputValue()).toMatch(/^1970-01-01T\d\d:\d\d$|^1969-12-31T\d\d:\d\d$/);
    expect(await flawsOf(page)).toEqual([]);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('are paged back to the first', async () => {
    const { page, faults } = await visit(browser, `${registry.url}/#/events?kind=Actions`);
    await page.locator(rows).first().waitFor();
    expect(await page.locator(rows).count()).toBe(200);
    const older = page.getByRole('button', { name: 'Older events' });
    for (const count of [400, EVENTS]) {
      await older.click();
      await expect.poll(() => page.locator(rows).count(), { timeout: 10_000 }).toBe(count);
    }
    expect(await older.count()).toBe(0);
    expect(await page.locator(rows).last().innerText()).toContain('weight set to 1');
    expect(await flawsOf(page)).toEqual([]);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('are all exported, not only those on the screen', async () => {
    const { page, faults } = await visit(browser, `${registry.url}/#/events?kind=Actions&service=orders`);
    await page.locator(rows).first().waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Export NDJSON' }).click(),
    ]);
    const text = await readFile(await download.path(), 'utf8');
    const events = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; text: string });
    expect(events).toHaveLength(EVENTS);
    expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set(['admin']));
    expect(events[0]?.text).toContain('weight set to 1');
    await page.getByText(`${EVENTS} events exported.`).waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });
});
