import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { variants } from '../variants.js';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';
import { startHoldingProxy } from './holding.js';
import type { HoldingProxy } from './holding.js';

const CLOCK = String.raw`\d\d:\d\d:\d\d`;
const SERVICES = 12;
const idOf = (at: number): string => `shop-${at}-0192f0c1-7a3b-7c4d-8e5f-0123456789ab`;

const text = (page: Page): Promise<string> => page.locator('main').innerText();

async function register(url: string, at: number): Promise<void> {
  const { status } = await fetch(`${url}/api/v1/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: idOf(at), service: `shop-${at}`, endpoints: [{ protocol: 'tcp', port: 9 + at }] }),
  });
  expect(status).toBe(201);
}

describe.skipIf(browserSkipReason !== null)('the freshness of the dashboard', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  describe('with a slow or blocked connection', () => {
    let registry: RunningRegistry;
    let proxy: HoldingProxy;
    beforeEach(async () => {
      registry = await startRegistry({ port: 0 });
      for (let at = 0; at < SERVICES; at += 1) await register(registry.url, at);
      proxy = await startHoldingProxy(registry.url);
    });
    afterEach(async () => {
      await proxy.close();
      await registry.close();
    });
    const open = async (hash = ''): Promise<Page> => (await visit(browser, `${proxy.url}/${hash}`)).page;

    it.each(['', '#/services', '#/instances', '#/topology', '#/services?ns=nope'])(
      'judges nothing at "%s" until the first view is whole',
      async (hash) => {
        proxy.holdAfter(6); // the status, and five services
        const page = await open(hash);
        await page.getByRole('heading', { name: `Calling the roll: 5 of ${SERVICES} services …` }).waitFor();
        await expect.poll(() => page.title()).toBe(`Calling the roll: 5 of ${SERVICES} services … – Rollcall`);
        expect(await page.locator('main').innerText()).not.toMatch(
          /attention|reached|HEALTHY|callable|edge|called|no namespace/,
        );
        await expect.poll(() => page.locator('nav b').innerText()).toBe('–');
        await page.locator('#search').fill('shop-11');
        await page.getByRole('option', { name: `5 of ${SERVICES} services are here so far` }).waitFor();
        expect(await flawsOf(page)).toEqual([]);
        proxy.release();
        await page.locator('h1', { hasNotText: 'Calling the roll' }).waitFor();
        // of the selected namespace
        const count = hash.includes('ns=nope') ? 0 : SERVICES;
        await page.locator('nav b', { hasText: new RegExp(`^${count}$`) }).waitFor();
        await page
          .getByRole('option', { name: /^shop-11/ })
          .first()
          .waitFor();
        await expect.poll(() => page.title()).not.toContain('Calling');
        await page.context().close();
      },
    );

    it('reports a service that has not arrived as not loaded yet', async () => {
      proxy.holdAfter(3);
      const page = await open(`#/services/default/shop-${SERVICES - 1}`);
      await page.getByText(`of ${SERVICES} services …`).waitFor();
      expect(await text(page)).not.toContain('not registered');
      proxy.release();
      await page.getByRole('heading', { name: /1 of 1 callable \(1 REGISTERING\)/ }).waitFor();
      await page.context().close();
    });

    it('reports when the connection ends before the first view is complete', async () => {
      proxy.holdAfter(6);
      const page = await open();
      await page.getByText(`5 of ${SERVICES} services`).first().waitFor();
      proxy.streams = 'cut';
      proxy.cutStreams();
      const words = new RegExp(`^The view was not whole at ${CLOCK}: 5 of ${SERVICES} services had arrived\\.$`);
      await page.locator('h1', { hasText: words }).waitFor();
      await page.context().close();
    });

    it.each(['hang', 'cut'] as const)('shows unknown data as unknown, where requests %s', async (mode) => {
      const page = await open();
      await page.locator('.pill.live').waitFor();
      await page.getByRole('heading', { name: /no HEALTHY instance/ }).waitFor();
      proxy.requests = mode;
      proxy.streams = mode;
      proxy.cutStreams();
      await page.locator('.pill.stale').waitFor();
      const unknown = new RegExp(`– unknown since ${CLOCK}`);
      const screens: readonly (readonly [string, number])[] = [
        ['#/services/default/shop-1', 4], // the sentence, both lists of edges, the changes
        ['#/topology', 1],
        ['#/events', 1],
        ['#/registry', 1],
        [`#/instances/${idOf(1)}`, 3], // heartbeats, last hour, callers
      ];
      for (const [hash, least] of screens) {
        await page.goto(`${proxy.url}/${hash}`);
        await page.locator('main', { hasText: unknown }).waitFor();
        const words = await text(page);
        expect(words.match(new RegExp(unknown, 'g'))?.length, hash).toBeGreaterThanOrEqual(least);
        expect(words, hash).not.toMatch(
          /No call has|No service has|No caller has|has reported|Nothing has|Nothing is|\b0 events|\b0 changes|Asking|is REGISTERING|is not registered|No caller calls/,
        );
        await expect.poll(() => page.title(), { message: hash }).not.toMatch(/ is /);
        expect(await flawsOf(page), hash).toEqual([]);
      }
      await page.goto(`${proxy.url}/#/services/default/nobody`);
      await page.getByRole('heading', { name: new RegExp(`^nobody was not registered at ${CLOCK}\\.$`) }).waitFor();
      Object.assign(proxy, { requests: 'answer', streams: 'answer' });
      await page.locator('.pill.live').waitFor();
      await page.goto(`${proxy.url}/#/topology`);
      await page.getByRole('heading', { name: 'No call has been reported yet.' }).waitFor();
      await page.context().close();
    });

    it('describes earlier data in the past tense', async () => {
      const page = await open(`#/instances/${idOf(1)}`);
      await page.getByText('every 5.00 s').waitFor();
      for (const hash of ['#/events', '#/registry', '#/services', '#/topology']) {
        await page.goto(`${proxy.url}/${hash}`);
        await page.locator('h1', { hasNotText: /sking|loading/ }).waitFor();
      }
      Object.assign(proxy, { requests: 'cut', streams: 'cut' });
      proxy.cutStreams();
      await page.locator('.pill.stale').waitFor();
      // the answer for all namespaces is not an answer for one
      await page.getByRole('heading', { name: new RegExp(`^No call had been reported at ${CLOCK}\\.$`) }).waitFor();
      await page.goto(`${proxy.url}/#/topology?ns=default`);
      await page
        .getByRole('heading', { name: new RegExp(`^The calls between services: – unknown since ${CLOCK}\\.$`) })
        .waitFor();
      const headings: readonly (readonly [string, RegExp])[] = [
        ['#/overview', new RegExp(`^12 of 12 services had no HEALTHY instance at ${CLOCK}\\.$`)],
        ['#/services', new RegExp(`^12 of 12 services had no HEALTHY instance at ${CLOCK}\\.$`)],
        ['#/services/default/shop-1', new RegExp(`^shop-1: 1 of 1 callable \\(1 REGISTERING\\) at ${CLOCK}\\.$`)],
        ['#/instances', new RegExp(`^12 of 12 instances could be called at ${CLOCK}\\.$`)],
        ['#/instances?ns=nope', new RegExp(`^There was no namespace nope at ${CLOCK}\\.$`)],
        [`#/instances/${idOf(1)}`, /^shop-1…89ab REGISTERING$/],
      ];
      for (const [hash, heading] of headings) {
        await page.goto(`${proxy.url}/${hash}`);
        await page.locator('h1', { hasText: heading }).waitFor();
      }
      await expect.poll(() => page.title()).toMatch(/^shop-1…89ab was REGISTERING/);
      expect(await text(page)).not.toMatch(/\bago\b|gets calls/);
      await page.context().close();
    });

    const past: readonly (readonly [string, string, RegExp])[] = [
      [
        '#/overview',
        'No caller has reported its calls yet.',
        new RegExp(`No caller had reported its calls at ${CLOCK}\\. What has happened since is unknown here\\.`),
      ],
      ['#/topology', 'No call has been reported yet.', new RegExp(`No call had been reported at ${CLOCK}\\.`)],
      ['#/registry', 'The registry serves', new RegExp(`The registry served at ${CLOCK}\\.`)],
      ['#/services', 'Worst first', new RegExp(`calls as of ${CLOCK}`)],
      ['#/services/default/shop-1', 'No caller has reported calls to it.', new RegExp(`Calls as of ${CLOCK}\\.`)],
      [`#/instances/${idOf(1)}`, 'in the last 10 min', /Falls\s*–/],
      ['#/events', 'in the last minute', new RegExp(`were known at ${CLOCK}\\.`)],
    ];
    it.each(variants(past, ([hash]) => hash, ['#/registry', `#/instances/${idOf(1)}`]))(
      'marks an old answer as old while the line is live: %s',
      async (hash, now, then) => {
        const page = await open(hash);
        await page.locator('main', { hasText: now }).waitFor();
        expect(await text(page)).not.toMatch(then);
        proxy.requests = 'cut';
        await page.locator('main', { hasText: then }).waitFor();
        expect(await page.locator('.pill').first().innerText()).toBe('Live');
        expect(await flawsOf(page)).toEqual([]);
        proxy.requests = 'answer';
        await page.locator('main', { hasNotText: then }).waitFor();
        await page.context().close();
      },
    );
  });
});
