import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';
import { layoutFlawsOf } from './layout.js';

const SECRET = 'a-secret-of-132-bits-22';
const ORDERS = ['orders-0a01', 'orders-0b02', 'orders-0c03'];
const [FIRST = '', SECOND = ''] = ORDERS;

describe.skipIf(browserSkipReason !== null)('operators on the dashboard', () => {
  let browser: Browser;
  let registry: RunningRegistry;

  const send = async (method: string, path: string, body: object, headers: object = {}): Promise<void> => {
    const answer = await fetch(`${registry.url}/api/v1/${path}`, {
      method,
      headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1', ...headers },
      body: JSON.stringify(body),
    });
    expect(answer.ok).toBe(true);
  };
  const detailOf = async (id: string) => {
    const answer = await fetch(`${registry.url}/api/v1/instances/${id}`);
    return (await answer.json()) as { readonly admin: string; readonly override: { readonly untilMs: number | null } };
  };
  const adminsOf = async (): Promise<string[]> => Promise.all(ORDERS.map(async (id) => (await detailOf(id)).admin));

  beforeAll(async () => {
    // no process answers: within a minute that changes no state
    [browser, registry] = await Promise.all([launchBrowser(), startRegistry({ port: 0, intervalMs: 60_000 })]);
    for (const [at, id] of [...ORDERS, 'gateway-6f80'].entries()) {
      const endpoints = [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }];
      const service = id.slice(0, id.indexOf('-'));
      await send('POST', 'register', { id, service, version: at === 2 ? '2.0.0' : '1.5.5', secret: SECRET, endpoints });
    }
  }, 60_000);

  /** The registry forgets the reports of callers long before these tests end. */
  const reportCalls = async (seq: number): Promise<void> => {
    const counts = { windowMs: 5_000, calls: 230, failures: 0, retries: 2, p50Ms: 3, p99Ms: 42, inFlight: 0 };
    const targets = [{ instance: FIRST, calls: 230, failures: 5, p99Ms: 20, circuit: 'open' }];
    const beat = { nonce: null, seq, edges: [{ service: 'orders', ...counts, window: seq, targets }] };
    await send('POST', 'instances/gateway-6f80/heartbeat', beat, { authorization: `Bearer ${SECRET}` });
  };

  afterEach(async () => {
    for (const id of ORDERS) await send('PATCH', `instances/${id}`, { admin: 'ENABLED' });
  });

  afterAll(async () => {
    await browser?.close();
    await registry?.close();
  });

  const at = async (hash: string): Promise<{ readonly page: Page; readonly faults: string[] }> =>
    visit(browser, `${registry.url}/${hash}`);

  it('drain the filtered instances, with one reason, and undrain them all', async () => {
    const { page, faults } = await at('#/instances');
    await page.locator('[data-row]').first().waitFor();
    expect(await page.getByRole('button', { name: /^Drain/ }).count()).toBe(0);
    await page.getByLabel('version').selectOption('1.5.5');
    await page.getByLabel(/^service/).selectOption('orders');
    await page.getByRole('button', { name: 'Drain these 2…' }).click();
    await page.getByText('1 of 3 stays callable').waitFor();
    await page.getByLabel(/^Reason/).fill('bad build');
    expect(await flawsOf(page)).toEqual([]);
    await page.getByRole('button', { name: 'Drain 2' }).click();
    await page.getByRole('button', { name: 'Undrain all 2' }).waitFor();
    expect(await adminsOf()).toEqual(['DRAINING', 'DRAINING', 'ENABLED']);
    expect(await page.getByText('drained', { exact: true }).count()).toBe(2);
    expect(await page.getByText(/^rollcall undrain/).innerText()).toMatch(
      /^rollcall undrain orders-0[ab]0[12] orders-0[ab]0[12]$/,
    );
    expect(await flawsOf(page)).toEqual([]);
    expect(await layoutFlawsOf(page)).toEqual([]);
    await page.getByRole('button', { name: 'Undrain all 2' }).click();
    await expect.poll(() => page.getByText('callable again').count()).toBe(2);
    expect(await adminsOf()).toEqual(['ENABLED', 'ENABLED', 'ENABLED']);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('drain the filtered instances on the page of a service', async () => {
    const { page, faults } = await at('#/services/default/orders');
    await page.locator('[data-row]').first().waitFor();
    expect(await page.getByRole('button', { name: /^Drain/ }).count()).toBe(0);
    await page.getByRole('link', { name: 'version 1.5.5' }).click();
    await page.getByRole('button', { name: 'Drain these 2…' }).click();
    await page.getByText('1 of 3 stays callable').waitFor();
    await page.getByRole('button', { name: 'Drain 2' }).click();
    await page.getByRole('button', { name: 'Undrain all 2' }).waitFor();
    expect(await adminsOf()).toEqual(['DRAINING', 'DRAINING', 'ENABLED']);
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Undrain these 2…' }).waitFor();
    expect(await flawsOf(page)).toEqual([]);
    expect(await layoutFlawsOf(page)).toEqual([]);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('see which of several could not be drained, and retry these', async () => {
    const { page } = await at('#/instances?service=orders&version=1.5.5');
    let isRefused = true;
    await page.route(`**/instances/${SECOND}`, (route) =>
      isRefused
        ? route.fulfill({ status: 429, json: { code: 'LIMITED', detail: 'Too many at once.', fix: 'Wait.' } })
        : route.continue(),
    );
    await page.getByRole('button', { name: 'Drain these 2…' }).click();
    await page.getByRole('button', { name: 'Drain 2' }).click();
    await page.getByText('Too many at once.').waitFor();
    expect(await adminsOf()).toEqual(['DRAINING', 'ENABLED', 'ENABLED']);
    isRefused = false;
    await page.getByRole('button', { name: 'Drain the 1 left' }).click();
    await page.getByRole('button', { name: 'Undrain all 2' }).waitFor();
    expect(await adminsOf()).toEqual(['DRAINING', 'DRAINING', 'ENABLED']);
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('button', { name: 'Undrain these 2…' }).waitFor();
    await page.context().close();
  });

  it('are warned before a service becomes uncallable, and may set an end', async () => {
    for (const id of ORDERS.slice(1)) await send('PATCH', `instances/${id}`, { admin: 'DRAINING' });
    await reportCalls(1);
    const { page, faults } = await at(`#/instances/${FIRST}`);
    const warning = 'After this no instance of orders may be called; gateway calls it (46/s).';
    await page.getByRole('button', { name: 'Maintenance…' }).click();
    await page.getByText(warning).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Drain…' }).click();
    await page.getByText(warning).waitFor();
    await page.getByLabel(/^For/).selectOption('60');
    await page.getByText(/^Callers send it nothing new.* it is called again by itself\.$/).waitFor();
    expect(await flawsOf(page)).toEqual([]);
    const before = Date.now();
    await page.getByRole('button', { name: 'Drain', exact: true }).click();
    await page.getByRole('button', { name: 'Undrain…' }).waitFor();
    const { untilMs } = (await detailOf(FIRST)).override;
    expect((untilMs ?? 0) - before).toBeGreaterThan(3_500_000);
    expect((untilMs ?? 0) - before).toBeLessThan(3_700_000);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('find their actions beside the states of an instance, and all of its events', async () => {
    await send('PATCH', `instances/${FIRST}`, { admin: 'DRAINING', reason: 'new kernel' });
    const { page } = await at(`#/instances/${FIRST}`);
    await page
      .getByText(/drained by an operator.*new kernel/)
      .first()
      .waitFor();
    await page.getByRole('link', { name: 'All events of …0a01' }).click();
    await page.waitForURL(/#\/events\?instance=orders-0a01/);
    await page.locator('tr[data-row]').first().waitFor();
    await page.getByRole('link', { name: 'last 10 min' }).click();
    await page.waitForURL(/last=10\+min/);
    await page.locator('tr[data-row]', { hasText: 'new kernel' }).waitFor();
    expect(await page.getByRole('link', { name: 'last 10 min' }).getAttribute('aria-current')).toBe('true');
    expect(await flawsOf(page)).toEqual([]);
    await page.context().close();
  });

  it('list the instances whose circuits are open, and those of weight 0', async () => {
    await reportCalls(2);
    await send('PATCH', `instances/${SECOND}`, { weight: 0 });
    const { page, faults } = await at('#/instances?circuit=open');
    await page.getByRole('heading', { name: '1 of 1 instance can be called.' }).waitFor();
    await page.locator('[data-row]', { hasText: '…0a01' }).getByText('1/1 open').waitFor();
    await page.goto(`${registry.url}/#/instances?weight=0`);
    await page.locator('[data-row]', { hasText: '…0b02' }).getByText('yes, weight 0').waitFor();
    expect(await page.locator('[data-row]').count()).toBe(1);
    expect(await flawsOf(page)).toEqual([]);
    await page.goto(`${registry.url}/#/instances/${SECOND}`);
    await page.getByText('Its weight is 0').waitFor();
    await page.getByRole('button', { name: 'Check now' }).waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });
});
