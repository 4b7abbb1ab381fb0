import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';

const SECRET = 'a-secret-of-132-bits-22';

async function send(url: string, path: string, body: object, headers: Record<string, string> = {}): Promise<void> {
  const answer = await fetch(`${url}/api/v1/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  expect(answer.ok).toBe(true);
}

const endpoints = [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }];

async function mainText(page: Page): Promise<string> {
  return (await page.locator('main').innerText()).replaceAll(/\s*\/\s*/g, '/');
}

describe.skipIf(browserSkipReason !== null)('the namespaces of the dashboard', () => {
  let browser: Browser;
  let registry: RunningRegistry;

  beforeAll(async () => {
    [browser, registry] = await Promise.all([launchBrowser(), startRegistry({ port: 0, intervalMs: 60_000 })]);
    for (const [id, service, namespace] of [
      ['users-0b9e', 'users', 'default'],
      ['stock-77aa', 'stock', 'default'],
      ['stock-88bb', 'stock', 'staging'],
      ['orders-1e07', 'orders', 'staging'],
      ['gateway-6f80', 'gateway', 'staging'],
    ])
      await send(registry.url, 'register', { id, service, namespace, secret: SECRET, endpoints });
    const counts = { windowMs: 5_000, calls: 10, failures: 0, retries: 2, p50Ms: 3, p99Ms: 42, inFlight: 0, window: 1 };
    await send(
      registry.url,
      'instances/gateway-6f80/heartbeat',
      { nonce: null, seq: 1, edges: [{ service: 'orders', ...counts }] },
      { authorization: `Bearer ${SECRET}` },
    );
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await registry?.close();
  });

  it('prefix every name, on every screen that lists names', async () => {
    const { page, faults } = await visit(browser, registry.url);
    const names: readonly (readonly [string, readonly string[]])[] = [
      ['', ['default/users', 'staging/orders', 'default/stock…77aa']],
      ['#/services', ['default/stock', 'staging/stock']],
      ['#/events', ['default/users…0b9e', 'staging/orders…1e07']],
      ['#/topology?view=table', ['staging/gateway', 'staging/orders']],
      ['#/services/staging/orders', ['Services/staging/orders', 'staging/gateway']],
      ['#/instances/orders-1e07', ['staging/orders']],
    ];
    for (const [hash, wanted] of names) {
      await page.goto(`${registry.url}/${hash}`);
      for (const name of wanted) await expect.poll(() => mainText(page), { timeout: 10_000 }).toContain(name);
      expect(await flawsOf(page), hash).toEqual([]);
    }
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('fit a telephone', async () => {
    const { page } = await visit(browser, registry.url, { width: 390, height: 844 });
    for (const hash of [
      '',
      '#/services',
      '#/events',
      '#/topology',
      '#/services/staging/orders',
      '#/services?ns=nope',
    ]) {
      await page.goto(`${registry.url}/${hash}`);
      await page.locator('h1').waitFor();
      await expect.poll(() => mainText(page)).toMatch(/staging/);
      const tooWide = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
      expect(tooWide, hash).toBeLessThanOrEqual(0);
    }
    await page.context().close();
  });

  it('are found by the search, alone and before a name', async () => {
    const { page } = await visit(browser, registry.url);
    await page.locator('.wall-row').first().waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('staging/stock');
    await page.locator('#hits a').first().waitFor();
    expect(await page.locator('#hits a').allInnerTexts()).toEqual(['staging/stock']);
    await page.keyboard.press('Enter');
    await page.waitForURL(/#\/services\/staging\/stock/);
    // the new screen takes the focus, and then it can be moved
    await page.locator('#main:focus').waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('staging');
    await expect.poll(() => page.locator('#hits a').count()).toBe(3);
    await page.context().close();
  });

  it('are reported when unknown, with the existing ones', async () => {
    const { page, faults } = await visit(browser, `${registry.url}/#/services?ns=nope`);
    for (const screen of ['services', 'overview', 'instances', 'topology', 'events']) {
      const hash = `#/${screen}?ns=nope`;
      await page.goto(`${registry.url}/${hash}`);
      await page.getByText('There is no namespace nope.').first().waitFor();
      await expect.poll(() => mainText(page)).toMatch(/There are default, staging/);
      expect(await flawsOf(page), hash).toEqual([]);
    }
    await page.goto(`${registry.url}/#/services?ns=nope`);
    await page.locator('main').getByRole('link', { name: 'staging' }).click();
    await page.waitForURL(/ns=staging/);
    await expect.poll(() => mainText(page)).toContain('staging/orders');
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('are shown when a service is in another namespace, with a link', async () => {
    const { page } = await visit(browser, `${registry.url}/#/services/default/orders`);
    await page.getByText('orders is in the namespace').waitFor();
    await page.locator('main').getByRole('link', { name: 'staging' }).click();
    await page.waitForURL(/#\/services\/staging\/orders/);
    await page.context().close();
  });

  it('are not shown where there is only one', async () => {
    const small = await startRegistry({ port: 0, intervalMs: 60_000 });
    await send(small.url, 'register', { id: 'users-1', service: 'users', endpoints });
    const { page } = await visit(browser, `${small.url}/#/services`);
    await page.locator('main').getByRole('link', { name: 'users' }).waitFor();
    expect(await mainText(page)).not.toContain('default/');
    await page.context().close();
    await small.close();
  });
});
