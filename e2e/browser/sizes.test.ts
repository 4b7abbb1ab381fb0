import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isShort } from '../variants.js';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';
import type { Theme } from './browser.js';
import { openDashboardFleet } from './fleet.js';
import type { DashboardFleet } from './fleet.js';
import { layoutFlawsOf } from './layout.js';

const SIZES = [
  [1_440, 900],
  [1_024, 768],
  [768, 1_024],
  [390, 844],
] as const;
const THEMES: readonly Theme[] = ['light', 'dark'];
/** Each test visits a screen in 4 sizes and 2 themes, with a thousand instances. */
const TEST_TIMEOUT_MS = 180_000;
/** A screen sends its requests at once, and a busy machine takes its time. */
const RESPONSE_TIMEOUT_MS = 20_000;

describe.skipIf(browserSkipReason !== null)('the dashboard of 200 services with 5 instances each', () => {
  let browser: Browser;
  let fleet: DashboardFleet;

  beforeAll(async () => {
    [browser, fleet] = await Promise.all([launchBrowser(), openDashboardFleet()]);
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await fleet?.close();
  });

  /** With names and versions of the maximum length. */
  const longest = () =>
    fleet.members.find(({ service, behavior: conduct }) => service.length === 63 && conduct === 'unproved')!;

  const screens: readonly (readonly [string, () => string])[] = [
    ['overview', () => '#/overview'],
    ['services', () => '#/services'],
    ['instances', () => '#/instances'],
    ['service', () => `#/services/${longest().namespace}/${longest().service}`],
    ['instance', () => `#/instances/${longest().id}`],
    ['maintained instance', () => `#/instances/${fleet.members.find(({ admin }) => admin === 'MAINTENANCE')!.id}`],
    ['topology', () => '#/topology'],
    ['topology of the impaired', () => '#/topology?only=unhealthy&ns=staging'],
    ['events', () => '#/events'],
    ['registry', () => '#/registry'],
    ['pictures', () => '#/pictures'],
    ['nowhere', () => `#/${'a-very-long-address-that-leads-nowhere/'.repeat(4)}`],
  ];

  /** Opens the screen and waits for all its requests. */
  async function open(page: Page, hash: string): Promise<void> {
    await page.goto(`${fleet.url}/${hash}`);
    await page.locator('.pill.live').waitFor();
    await page.locator('main h1').waitFor();
    await expect
      .poll(() => page.locator('main').innerText(), { message: hash, timeout: RESPONSE_TIMEOUT_MS })
      .not.toMatch(/\basking\b|laying it out/i);
  }

  it.each(screens)(
    'fits every size in both themes, and no element overlaps another: %s',
    async (_name, hash) => {
      const { page, faults } = await visit(browser, fleet.url);
      await open(page, hash());
      for (const [width, height] of SIZES) {
        await page.setViewportSize({ width, height });
        for (const colorScheme of THEMES) {
          await page.emulateMedia({ colorScheme });
          expect(await layoutFlawsOf(page), `${width} px, ${colorScheme}`).toEqual([]);
        }
      }
      expect(faults).toEqual([]);
      await page.context().close();
    },
    TEST_TIMEOUT_MS,
  );

  // `npm test` covers it in dashboard.test.ts, every screen with a small fleet
  it.skipIf(isShort).each(screens)(
    'violates no rule of WCAG 2.2 AA in both themes, wide and narrow: %s',
    async (_name, hash) => {
      const { page } = await visit(browser, fleet.url);
      await open(page, hash());
      for (const [width, height] of [SIZES[0], SIZES[3]]) {
        await page.setViewportSize({ width, height });
        for (const colorScheme of THEMES) {
          await page.emulateMedia({ colorScheme });
          expect(await flawsOf(page), `${width} px, ${colorScheme}`).toEqual([]);
        }
      }
      await page.context().close();
    },
    TEST_TIMEOUT_MS,
  );

  it('shows its search and its namespaces at every width', async () => {
    const { page } = await visit(browser, fleet.url);
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      await open(page, '#/overview');
      await page.locator('#search').fill(longest().service);
      await page.locator('#hits [role=option]').first().waitFor();
      expect(await layoutFlawsOf(page), `${width} px, with hits`).toEqual([]);
      await page.keyboard.press('Escape');
      await page.getByLabel('Namespace').selectOption('staging');
      await page.waitForURL(/ns=staging/);
      await page.getByLabel('Namespace').selectOption('*');
    }
    await page.context().close();
  });
});
