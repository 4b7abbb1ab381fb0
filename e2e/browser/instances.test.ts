import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, visit, browserSkipReason } from './browser.js';
import { openDashboardFleet } from './fleet.js';
import type { DashboardFleet } from './fleet.js';

const TEST_TIMEOUT_MS = 240_000;

/** The number of rows of the table, visible or not. */
const rowsOf = async (page: Page): Promise<number> =>
  Number(await page.locator('table.one-height').getAttribute('aria-rowcount')) - 1;

describe.skipIf(browserSkipReason !== null)('lists of the dashboard', () => {
  let browser: Browser;
  let fleet: DashboardFleet;

  beforeAll(async () => {
    [browser, fleet] = await Promise.all([launchBrowser(), openDashboardFleet({ changes: false })]);
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    await browser?.close();
    await fleet?.close();
  });

  const at = (hash: string): string => `${fleet.url}/${hash}`;
  const count = (matches: (member: DashboardFleet['members'][number]) => boolean): number =>
    fleet.members.filter(matches).length;

  it('lists all instances, and draws the visible ones', async () => {
    const { page, faults } = await visit(browser, at('#/instances'));
    await page.getByRole('heading', { name: /of 1,000 instances can be called\.$/ }).waitFor();
    expect(await rowsOf(page)).toBe(1_000);
    expect(await page.locator('[data-row]').count()).toBeLessThan(120);
    await page.locator('[data-row]').first().locator('.state.CRITICAL').waitFor();
    await page.evaluate('scrollTo(0, document.documentElement.scrollHeight)');
    await page.locator('tr[aria-rowindex="1001"]').waitFor();
    expect(await page.locator('[data-row]').count()).toBeLessThan(120);
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('is filtered by its URL, and writes its filters there', async () => {
    const { page } = await visit(browser, at('#/instances?admin=MAINTENANCE'));
    await page.getByRole('heading', { name: /^0 of/ }).waitFor();
    expect(await rowsOf(page)).toBe(count(({ admin }) => admin === 'MAINTENANCE'));
    await page.getByLabel('callable').selectOption('yes');
    await page.waitForURL(/callable=yes/);
    await page.getByText('No instance fits.').waitFor();
    await page.goto(at('#/instances?callable=no'));
    await page.locator('[data-row]').first().waitFor();
    expect(await page.locator('[data-row]', { hasText: 'CRITICAL' }).count()).toBeGreaterThan(0);
    const { service, id } = fleet.firstWith('unreachable');
    await page.goto(at('#/instances'));
    await page.getByPlaceholder('Name, id, address, version …').fill(`${service}…${id.slice(-4)}`);
    await page.getByRole('heading', { name: '1 of 1 instance can be called.' }).waitFor();
    expect(new URL(page.url()).hash).toContain('q=');
    await page.reload();
    await page.getByRole('heading', { name: '1 of 1 instance can be called.' }).waitFor();
    await page.context().close();
  });

  it('is sorted by its columns, and navigated by keyboard', async () => {
    const { page } = await visit(browser, at('#/overview'));
    await page.locator('.pill.live').waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('i');
    await page.waitForURL(/#\/instances/);
    await page.getByRole('columnheader', { name: 'Instance' }).getByRole('link').click();
    await page.waitForURL(/sort=instance/);
    const first = page.locator('tr[aria-rowindex="2"] a.name');
    const names = fleet.members.map(({ service, id }) => `${service}/${id}`).toSorted();
    await page.locator(`tr[aria-rowindex="2"] a[title="${names[0]?.split('/')[1] ?? ''}"]`).waitFor();
    await page.getByRole('columnheader', { name: 'Instance' }).getByRole('link').click();
    await page.waitForURL(/sort=-instance/);
    await page.locator(`tr[aria-rowindex="2"] a[title="${names.at(-1)?.split('/')[1] ?? ''}"]`).waitFor();
    expect(await page.getByRole('columnheader', { name: 'Instance' }).getAttribute('aria-sort')).toBe('descending');
    const id = await first.getAttribute('title');
    await page.locator('#main').focus();
    for (let step = 0; step < 40; step += 1) await page.keyboard.press('j');
    await page.locator('tr[aria-rowindex="41"] a:focus').waitFor();
    for (let step = 0; step < 40; step += 1) await page.keyboard.press('k');
    await page.keyboard.press('Enter');
    await page.waitForURL(new RegExp(id ?? 'no id'));
    await page.context().close();
  });

  it('is linked by the overview when it has more entries', async () => {
    const { page } = await visit(browser, at('#/overview'));
    await page
      .getByRole('link', { name: /more instances$/ })
      .first()
      .click();
    await page.waitForURL(/#\/instances\?.*state=CRITICAL%2CUNHEALTHY/);
    await page.locator('[data-row]').first().waitFor();
    const troubled = ['unreachable', 'mute', 'unproved'];
    expect(await rowsOf(page)).toBe(count(({ behavior: conduct }) => troubled.includes(conduct)));
    await page.context().close();
  });

  it('has rows of one height in the list of services, filters it by name and sorts it', async () => {
    const { page } = await visit(browser, at('#/services'));
    await page.locator('[data-row]').first().waitFor();
    const heights = `[...new Set([...document.querySelectorAll('[data-row]')].map((row) => Math.round(row.getBoundingClientRect().height)))]`;
    expect(await page.evaluate(heights)).toEqual([35]);
    await page.getByLabel('order').selectOption('name');
    await page.waitForURL(/sort=name/);
    const [name] = fleet.members.map(({ service }) => service).toSorted();
    await page.locator('tr[aria-rowindex="2"]', { hasText: name ?? '' }).waitFor();
    await page.getByLabel('order').selectOption('rate');
    const rates = `[...document.querySelectorAll('[data-row] td:nth-child(6)')].map(({ textContent }) => Number(textContent.replace('–', '-1')))`;
    await expect
      .poll(async () => {
        const shown = await page.evaluate<number[]>(rates);
        return (
          shown.length > 10 &&
          (shown[0] ?? 0) > 100 &&
          shown.every((rate, row) => row === 0 || rate <= (shown[row - 1] ?? 0))
        );
      })
      .toBe(true);
    await page.getByPlaceholder('Name of a service').fill('ledger-b');
    await expect.poll(() => rowsOf(page)).toBe(1);
    await page.context().close();
  });

  it('lists in the topology the entries that the filter passes, the impaired first', async () => {
    const { page } = await visit(browser, at('#/topology?view=table'));
    await page.locator('[data-row]').first().waitFor();
    const tones = `[...document.querySelectorAll('[data-row]')].map(({ className }) => className)`;
    const shown = await page.evaluate<string[]>(tones);
    expect(shown[0]).toBe('tinted critical');
    expect(shown.indexOf('')).toBeGreaterThan(shown.lastIndexOf('tinted unhealthy'));
    const of = async (hash: string): Promise<readonly [string, number]> => {
      await page.goto(at(hash));
      await page.locator('.topology-choices').waitFor();
      const heading = await page.locator('h1').innerText();
      return [heading, await page.locator('[data-row]').count()];
    };
    // heading and rows are read one after the other: they agree when nothing was drawn in between
    const expectCount = async (hash: string, text: (rows: number) => string): Promise<void> => {
      await expect
        .poll(
          async () => {
            const [heading, rows] = await of(hash);
            return new RegExp(text(rows)).test(heading) ? 'they agree' : `${rows} rows: ${heading}`;
          },
          { timeout: 10_000 },
        )
        .toBe('they agree');
    };
    await expectCount('#/topology?view=table&service=default/users-cache&idle=shown', (rows) =>
      rows === 1 ? '^The one edge is' : `^(All ${rows} edges are fine|\\d+ of ${rows} edges are impaired)`,
    );
    await expectCount('#/topology?view=table&only=unhealthy&ns=staging', (rows) => `^${rows} edges are impaired`);
    await page.context().close();
  });

  it('places the card of an edge beside all content', async () => {
    const { page } = await visit(browser, at('#/topology?only=unhealthy&ns=staging'));
    await page.locator('.edge-card').waitFor();
    const over = `(() => {
      const card = document.querySelector('.edge-card').getBoundingClientRect();
      const graph = document.querySelector('.topology').getBoundingClientRect();
      return Math.min(card.right, graph.right) > Math.max(card.left, graph.left) && Math.min(card.bottom, graph.bottom) > Math.max(card.top, graph.top);
    })()`;
    for (const width of [1_440, 1_024, 768]) {
      await page.setViewportSize({ width, height: 900 });
      expect(await page.evaluate(over), `${width} px`).toBe(false);
    }
    await page.context().close();
  });
});
