import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, visit, browserSkipReason } from './browser.js';

const DRAINED = 'orders-1e07';
const OTHER = 'stock-77aa';
/** A request that the screen of a service sends every half minute: so no timer interferes. */
const RARE_QUERY = '&limit=500&';
/** Less than its timer, 15 s. */
const OWN_MS = 8_000;

describe.skipIf(browserSkipReason !== null)('data that the dashboard requests', () => {
  let browser: Browser;
  let registry: RunningRegistry;

  const send = async (method: string, path: string, body: object): Promise<void> => {
    const answer = await fetch(`${registry.url}/api/v1/${path}`, {
      method,
      headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
      body: JSON.stringify(body),
    });
    expect(answer.ok).toBe(true);
  };
  const change = (weight: number): Promise<void> => send('PATCH', `instances/${OTHER}`, { weight });

  beforeAll(async () => {
    [browser, registry] = await Promise.all([launchBrowser(), startRegistry({ port: 0, intervalMs: 60_000 })]);
    for (const id of [DRAINED, OTHER]) {
      const endpoints = [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }];
      await send('POST', 'register', { id, service: id.slice(0, id.indexOf('-')), endpoints });
    }
    await send('PATCH', `instances/${DRAINED}`, { admin: 'DRAINING', reason: 'new disk' });
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await registry?.close();
  });

  it('is requested again as soon as a hidden tab becomes visible', async () => {
    const { page } = await visit(browser, registry.url);
    await page.locator('.wall-row').first().waitFor();
    await page.evaluate(`Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })`);
    const requestedUrls: string[] = [];
    page.on('request', (request) => requestedUrls.push(request.url()));
    await page.goto(`${registry.url}/#/services/default/orders`);
    await page.getByText('Asking …').first().waitFor();
    // longer than the first request would wait for
    await page.waitForTimeout(1_500);
    expect(requestedUrls.filter((url) => url.includes(RARE_QUERY))).toEqual([]);
    await page.evaluate(
      `Object.defineProperty(document, 'hidden', { get: () => false, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`,
    );
    await expect.poll(() => requestedUrls.some((url) => url.includes(RARE_QUERY)), { timeout: 10_000 }).toBe(true);
    await page.context().close();
  });

  it('is not requested again when something else changes', async () => {
    const { page } = await visit(browser, `${registry.url}/#/services/default/orders`);
    await page.getByText(/drained .* \(new disk\)/).waitFor();
    const requestedUrls: string[] = [];
    page.on('request', (request) => requestedUrls.push(request.url()));
    // the requests that follow each change were sent, and this one was not
    const isRequestedTwice = (): boolean => requestedUrls.filter((url) => url.includes(RARE_QUERY)).length >= 2;
    for (let weight = 1; !isRequestedTwice() && weight < 100; weight += 1) {
      await change(weight);
      await page.waitForTimeout(200);
    }
    expect(isRequestedTwice()).toBe(true);
    expect(requestedUrls.filter((url) => url.includes(`/instances/${DRAINED}`))).toEqual([]);
    // a change of its own triggers it
    await send('PATCH', `instances/${DRAINED}`, { admin: 'DRAINING', reason: 'new board' });
    await page.getByText(/drained .* \(new board\)/).waitFor({ timeout: OWN_MS });
    await page.context().close();
  });

  it('is requested during a pause when another filter is chosen', async () => {
    const { page, faults } = await visit(browser, `${registry.url}/#/events`);
    const service = page.locator('label.chip', { hasText: /^service/ }).locator('select');
    await page.locator('tr[data-row]').first().waitFor();
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('heading', { name: /events? in the minute before \d\d:\d\d:\d\d\.$/ }).waitFor();
    const before = await page.locator('tr[data-row]').count();
    await change(500);
    await service.selectOption('stock');
    await page.locator('tr[data-row]', { hasText: 'weight set to 500' }).waitFor();
    expect(await page.locator('tr[data-row]', { hasText: 'orders' }).count()).toBe(0);
    await change(501);
    await service.selectOption('');
    await page.locator('tr[data-row]', { hasText: 'weight set to 501' }).waitFor();
    const paused = await page.locator('tr[data-row]').count();
    expect(paused).toBeGreaterThan(before);
    const heading = await page.locator('h1').innerText();
    await change(502);
    // longer than a renewal waits for
    await page.waitForTimeout(2_000);
    expect(await page.locator('tr[data-row]').count()).toBe(paused);
    expect(await page.locator('h1').innerText()).toBe(heading);
    expect(faults).toEqual([]);
    await page.context().close();
  });
});
