// What the dashboard shows of a registry whose process is stopped: its connections stay open, and nothing arrives.
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { register, startRegistry, urlOf } from '../process/plain-requests.js';
import { endAll } from '../process/spawn.js';
import { variants } from '../variants.js';
import { launchBrowser, visit, browserSkipReason } from './browser.js';

const CLOCK = String.raw`\d\d:\d\d:\d\d`;

describe.skipIf(browserSkipReason !== null)('the dashboard of a registry that is frozen', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await endAll();
  });

  /** The time until silence is reported: twice 5 s and one more, and the delay of a busy machine. */
  const REPORTED_MS = 16_000;
  /** Less than the wait before another attempt, plus the delay of a busy machine. */
  const RECONNECT_MS = 5_000;

  const freezes: readonly (readonly [string, number])[] = [
    ['for a moment', 0],
    ['for longer than a line is trusted', 30_000],
  ];
  it.each(variants(freezes, ([name]) => name, ['for a moment']))(
    'reports the silence, and is live at once when the registry continues: %s',
    { timeout: 120_000 },
    async (_, forMs) => {
      const registry = startRegistry(500, ['--memory']);
      const url = await urlOf(registry);
      expect((await register(url, 'shop-1')).status).toBe(201);
      const { page } = await visit(browser, url);
      await page.locator('.pill.live').waitFor();
      await page.getByRole('heading', { name: /no HEALTHY instance/ }).waitFor();
      registry.kill('SIGSTOP');
      const stoppedAt = performance.now();
      await page.locator('.pill.stale').waitFor({ timeout: REPORTED_MS });
      const pill = (): Promise<string> => page.locator('.pill.stale').innerText();
      const first = /^No message for (\d+) s$/.exec(await pill());
      expect(Number(first?.[1])).toBeGreaterThanOrEqual(10);
      expect(Number(first?.[1])).toBeLessThanOrEqual(REPORTED_MS / 1_000);
      const bar = await page.locator('.stale-bar').innerText();
      expect(bar).toMatch(new RegExp(`has sent nothing since ${CLOCK}; it has not closed the line`));
      expect(bar).not.toMatch(/closed at/);
      expect(await page.locator('h1').innerText()).toMatch(new RegExp(`had no HEALTHY instance at ${CLOCK}`));
      // it counts up
      await page.locator('.pill.stale', { hasText: `${Number(first?.[1]) + 2} s` }).waitFor();
      await page.waitForTimeout(Math.max(0, forMs - (performance.now() - stoppedAt)));
      expect(await pill()).toMatch(/^No message for/);
      registry.kill('SIGCONT');
      await page.locator('.pill.live').waitFor({ timeout: RECONNECT_MS });
      registry.kill('SIGKILL');
      await registry.exited;
      await page.locator('.pill.stale').waitFor();
      expect(await pill()).toMatch(/^Stale/);
      expect(await page.locator('.stale-bar').innerText()).toMatch(/closed at/);
      await page.context().close();
    },
  );
});
