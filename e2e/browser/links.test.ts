import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';

const SECRET = 'a-secret-of-132-bits-22';
/** Two more than the overview has rows for. */
const DRAINED = 14;

const rowsOf = async (page: Page): Promise<number> =>
  Number(await page.locator('table.one-height').getAttribute('aria-rowcount')) - 1;

describe.skipIf(browserSkipReason !== null)('links of the dashboard', () => {
  let browser: Browser;
  let registry: RunningRegistry;

  const send = async (method: string, path: string, body: object, headers: Record<string, string>): Promise<void> => {
    const answer = await fetch(`${registry.url}/api/v1/${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    expect(answer.ok).toBe(true);
  };
  const register = (id: string, service: string, namespace: string): Promise<void> => {
    const endpoints = [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }];
    return send('POST', 'register', { id, service, namespace, secret: SECRET, endpoints }, {});
  };

  beforeAll(async () => {
    [browser, registry] = await Promise.all([launchBrowser(), startRegistry({ port: 0, intervalMs: 60_000 })]);
    for (let count = 1; count <= DRAINED; count += 1) {
      const id = `orders-${String(count).padStart(4, '0')}`;
      await register(id, 'orders', 'staging');
      await send('PATCH', `instances/${id}`, { admin: 'DRAINING' }, { 'x-rollcall-operator': '1' });
    }
    await register('gateway-6f80', 'gateway', 'staging');
    await register('orders-0b9e', 'orders', 'default');
    const counts = { windowMs: 5_000, calls: 10, failures: 0, retries: 2, p50Ms: 3, p99Ms: 42, inFlight: 0, window: 1 };
    await send(
      'POST',
      'instances/gateway-6f80/heartbeat',
      { nonce: null, seq: 1, edges: [{ service: 'orders', ...counts }] },
      { authorization: `Bearer ${SECRET}` },
    );
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await registry?.close();
  });

  it('lead from one row of the overview for all drained instances to their list', async () => {
    const { page, faults } = await visit(browser, registry.url);
    await page.getByRole('heading', { name: /^No instance of staging\/orders may be called: 14 drained\./ }).waitFor();
    expect(await page.locator('.attention [data-problem]').count()).toBe(1);
    expect(await flawsOf(page)).toEqual([]);
    await page.getByRole('link', { name: `${DRAINED} instances` }).click();
    await page.waitForURL(/#\/instances\?.*admin=DRAINING/);
    await expect.poll(() => rowsOf(page)).toBe(DRAINED);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('keep the typed filter and the order when a state of the services is chosen', async () => {
    const { page } = await visit(browser, `${registry.url}/#/services`);
    await page.locator('[data-row]').first().waitFor();
    await page.getByLabel('order').selectOption('name');
    await page.getByPlaceholder('Name of a service').fill('ord');
    await expect.poll(() => rowsOf(page)).toBe(2);
    await page.getByRole('link', { name: /^REGISTERING/ }).click();
    await page.waitForURL(/state=REGISTERING/);
    const { hash } = new URL(page.url());
    expect(hash).toContain('q=ord');
    expect(hash).toContain('sort=name');
    await expect.poll(() => rowsOf(page)).toBe(2);
    await page.context().close();
  });

  it('keep the chosen service in the table of the topology', async () => {
    const { page } = await visit(browser, `${registry.url}/#/topology`);
    await page
      .locator('label.chip', { hasText: /^service/ })
      .locator('select')
      .selectOption('staging/orders');
    await page.waitForURL(/service=staging/);
    await page.getByRole('link', { name: 'Table' }).click();
    await page.waitForURL(/view=table/);
    expect(new URL(page.url()).hash).toContain('service=staging%2Forders');
    await page.getByText('staging/gateway to staging/orders').waitFor();
    await page.context().close();
  });

  it('lead to the events of a service in its own namespace', async () => {
    const { page } = await visit(browser, `${registry.url}/#/services/default/orders`);
    await page.getByRole('link', { name: 'All events of orders' }).click();
    await page.waitForURL(/#\/events\?/);
    expect(new URL(page.url()).hash).toContain('ns=default');
    await page.locator('tr[data-row]').first().waitFor();
    expect(await page.locator('tr[data-row]').count()).toBe(1);
    await page.context().close();
  });
});
