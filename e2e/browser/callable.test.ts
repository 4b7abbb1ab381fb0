import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';

const SECRET = 'a-secret-of-132-bits-22';
const END = Date.now() + 3_600_000;

const rowsOf = async (page: Page): Promise<number> =>
  Number(await page.locator('table.one-height').getAttribute('aria-rowcount')) - 1;

const counted = (page: Page): Promise<string> => page.locator('nav b').innerText();

const mainText = async (page: Page): Promise<string> =>
  (await page.locator('main').innerText()).replaceAll(/\s*\/\s*/g, '/').replaceAll(/\s+/g, ' ');

describe.skipIf(browserSkipReason !== null)(
  'a service whose instances an operator has all drained, on the dashboard',
  () => {
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

    beforeAll(async () => {
      [browser, registry] = await Promise.all([launchBrowser(), startRegistry({ port: 0, intervalMs: 60_000 })]);
      const endpoints = [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }];
      for (const [id, service, namespace] of [
        ['orders-0001', 'orders', 'staging'],
        ['orders-0002', 'orders', 'staging'],
        ['gateway-6f80', 'gateway', 'staging'],
        ['shop-1e07', 'shop', 'staging'],
        ['orders-0b9e', 'orders', 'default'],
        ['users-77aa', 'users', 'default'],
      ])
        await send('POST', 'register', { id, service, namespace, secret: SECRET, endpoints }, {});
      const until = { reason: 'kernel update, see CHG-7', untilMs: END };
      for (const id of ['orders-0001', 'orders-0002'])
        await send('PATCH', `instances/${id}`, { admin: 'DRAINING', ...until }, { 'x-rollcall-operator': '1' });
      const counts = {
        windowMs: 5_000,
        calls: 100,
        failures: 0,
        retries: 0,
        p50Ms: 3,
        p99Ms: 42,
        inFlight: 0,
        window: 1,
      };
      for (const [id, service] of [
        ['gateway-6f80', 'orders'],
        ['shop-1e07', 'gateway'],
      ])
        await send(
          'POST',
          `instances/${id}/heartbeat`,
          { nonce: null, seq: 1, edges: [{ service, ...counts }] },
          { authorization: `Bearer ${SECRET}` },
        );
    }, 60_000);

    afterAll(async () => {
      await browser?.close();
      await registry?.close();
    });

    it('is one row of the overview, with operator, reason and end, which links to its instances', async () => {
      const { page, faults } = await visit(browser, registry.url);
      const cause = page.locator('.attention [data-problem]');
      await cause.getByText(/^Drained \d+ s ago by .*\(kernel update, see CHG-7\)\.$/).waitFor();
      expect(await cause.count()).toBe(1);
      expect(await cause.innerText()).toMatch(/NOT CALLABLE[^]*DRAINING 2 instances[^]*until [\d :-]+/);
      await page.getByText('staging/gateway calls staging/orders (20/s): what becomes of these calls').waitFor();
      expect(await mainText(page)).not.toContain('No caller is affected');
      expect(await flawsOf(page)).toEqual([]);
      await cause.getByRole('link', { name: '2 instances' }).click();
      await page.waitForURL(/#\/instances\?/);
      await expect.poll(() => rowsOf(page)).toBe(2);
      expect(faults).toEqual([]);
      await page.context().close();
    });

    it('is shown as NOT CALLABLE in the list of services, where a chip filters for it', async () => {
      const { page, faults } = await visit(browser, `${registry.url}/#/services`);
      const row = page.locator('tr[data-row]', { hasText: 'NOT CALLABLE' });
      await row.waitFor();
      expect(await row.innerText()).toContain('0 of 2');
      await page.getByRole('link', { name: 'none callable 1' }).click();
      await page.waitForURL(/callable=no/);
      await expect.poll(() => rowsOf(page)).toBe(1);
      expect(await flawsOf(page)).toEqual([]);
      await page.getByRole('link', { name: /^All / }).click();
      await expect.poll(() => rowsOf(page)).toBe(5);
      expect(faults).toEqual([]);
      await page.context().close();
    });

    it('shows on its page how many may be called, with the same count, and who drained them', async () => {
      const { page, faults } = await visit(browser, `${registry.url}/#/services/staging/orders`);
      await page
        .getByRole('heading', { name: 'orders: no instance may be called, 0 of 2 callable: 2 drained.' })
        .waitFor();
      await page.getByText(/Drained \d+ s ago by .*\(kernel update, see CHG-7\)\./).waitFor();
      const stats = await page.locator('.stats').innerText();
      expect(stats).toMatch(/Callable\s+0 of 2\s+2 drained/);
      expect(stats).toContain('no instance to call');
      expect(await flawsOf(page)).toEqual([]);
      expect(faults).toEqual([]);
      await page.context().close();
    });

    it('is found by its name, with or without its namespace, in the choice of services', async () => {
      const { page } = await visit(browser, registry.url);
      for (const name of ['orders', 'staging/orders']) {
        await page.goto(`${registry.url}/#/topology?view=table&service=${name}`);
        await page.getByRole('heading', { name: 'The one edge is fine, no call failed.' }).waitFor();
        await page.goto(`${registry.url}/#/instances?service=${name}`);
        await expect.poll(() => rowsOf(page)).toBe(name === 'orders' ? 3 : 2);
      }
      await page.context().close();
    });

    it('has callers that a filter of the topology hides, so its caller is not an entry', async () => {
      const { page } = await visit(browser, `${registry.url}/#/topology?service=staging/orders`);
      const gateway = page.locator('.topology a.node', { hasText: 'gateway' });
      await gateway.waitFor();
      expect(await gateway.textContent()).toContain('+1 caller not shown');
      await page.goto(`${registry.url}/#/topology`);
      await expect.poll(() => page.locator('.topology a.node', { hasText: 'shop' }).textContent()).toContain('entry');
      await page.context().close();
    });
  },
);

describe.skipIf(browserSkipReason !== null)('the chosen namespace on the dashboard', () => {
  let browser: Browser;
  let registry: RunningRegistry;

  beforeAll(async () => {
    [browser, registry] = await Promise.all([launchBrowser(), startRegistry({ port: 0, intervalMs: 60_000 })]);
    const endpoints = [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }];
    for (const [id, namespace] of [
      ['orders-1', 'staging'],
      ['users-1', 'default'],
      ['stock-1', 'default'],
    ] as const) {
      const body = JSON.stringify({ id, service: id.slice(0, -2), namespace, secret: SECRET, endpoints });
      const headers = { 'content-type': 'application/json' };
      expect((await fetch(`${registry.url}/api/v1/register`, { method: 'POST', headers, body })).ok).toBe(true);
    }
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await registry?.close();
  });

  it('is kept by links and keys of the page, and the navigation counts the shown entries', async () => {
    const { page } = await visit(browser, `${registry.url}/#/services?ns=default`);
    await expect.poll(() => counted(page)).toBe('2');
    await page.locator('main').getByRole('link', { name: 'users' }).click();
    await page.waitForURL(/#\/services\/default\/users\?ns=default/);
    await page.locator('.crumbs a').click();
    await page.waitForURL(/#\/services\?ns=default/);
    await page.locator('#main:focus').waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await page.waitForURL(/#\/topology\?ns=default/);
    await page.locator('#main:focus').waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('stock');
    await page.locator('#hits a').first().waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL(/#\/services\/default\/stock\?ns=default/);
    expect(await counted(page)).toBe('2');
    await page.context().close();
  });

  it('is not added to a link without a namespace that is opened in the same tab', async () => {
    const { page } = await visit(browser, `${registry.url}/#/services?ns=default`);
    await expect.poll(() => rowsOf(page)).toBe(2);
    await page.goto(`${registry.url}/#/services?q=orders`);
    await expect.poll(() => rowsOf(page)).toBe(1);
    expect(new URL(page.url()).hash).toBe('#/services?q=orders');
    expect(await counted(page)).toBe('3');
    expect(await page.getByLabel('Namespace').inputValue()).toBe('*');
    await page.context().close();
  });
});
