import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import type { Browser, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';

const SCRIPT = /\/assets\/topology-[\w-]+\.js$/;

describe.skipIf(browserSkipReason !== null)('the script of the topology screen', () => {
  let browser: Browser;
  let registry: RunningRegistry;

  beforeAll(async () => {
    [browser, registry] = await Promise.all([launchBrowser(), startRegistry({ port: 0 })]);
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await registry?.close();
  });

  it('is loaded from the registry when the screen is opened', async () => {
    const { page, faults } = await visit(browser, `${registry.url}/#/registry`);
    const asked: string[] = [];
    const held: Route[] = [];
    page.on('request', (request) => {
      if (SCRIPT.test(request.url())) asked.push(request.url());
    });
    await page.reload();
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.route(SCRIPT, (route) => void held.push(route));
    expect(asked).toEqual([]);
    await page.goto(`${registry.url}/#/topology`);
    await page.getByRole('heading', { name: 'The calls between services: loading …' }).waitFor();
    expect(await flawsOf(page)).toEqual([]);
    await Promise.all(held.map((route) => route.continue()));
    await page.getByRole('heading', { name: 'No call has been reported yet.' }).waitFor();
    expect(asked).toHaveLength(1);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('is reported as missing where it fails to load, and a reload loads it', async () => {
    const { page, faults } = await visit(browser, `${registry.url}/#/registry`);
    await page.route(SCRIPT, (route) => route.abort());
    await page.goto(`${registry.url}/#/topology`);
    await page.getByRole('heading', { name: 'This screen could not be loaded.' }).waitFor();
    expect(await flawsOf(page)).toEqual([]);
    await page.unroute(SCRIPT);
    await page.getByRole('button', { name: 'Reload' }).click();
    await page.getByRole('heading', { name: 'No call has been reported yet.' }).waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('leaves the focus in the search that is opened right after the screen', async () => {
    const { page } = await visit(browser, `${registry.url}/#/registry`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    // in the task after the one that goes there: no paint lies between
    const focused = await page.evaluate<string>(`new Promise((resolve) => {
      const press = () => window.dispatchEvent(new KeyboardEvent('keydown', { key: '/', cancelable: true }));
      const paints = (left) => requestAnimationFrame(() => setTimeout(left === 0 ? tell : () => paints(left - 1), 50));
      const tell = () => resolve(document.activeElement.id);
      window.addEventListener('hashchange', () => { const { port1, port2 } = new MessageChannel(); port1.onmessage = () => { press(); paints(4); }; port2.postMessage(0); }, { once: true });
      location.hash = '#/topology';
    })`);
    expect(focused).toBe('search');
    await page.context().close();
  });
});
