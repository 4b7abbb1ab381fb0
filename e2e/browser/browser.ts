import axe from 'axe-core';
import type { AxeResults } from 'axe-core';
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';

/** Debian's path, or a browser of your own. */
const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

/** Why there is no browser to test with; null: there is one. */
export const browserSkipReason: string | null = existsSync(CHROMIUM)
  ? null
  : `there is no ${CHROMIUM}: install the package chromium, or say where it is in CHROMIUM`;

if (browserSkipReason !== null) console.warn(`Browser tests are skipped: ${browserSkipReason}.`);

/** It connects to nothing but the pages it is sent to. */
const OFFLINE_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const launchBrowser = (): Promise<Browser> => chromium.launch({ executablePath: CHROMIUM, args: OFFLINE_FLAGS });

export type Theme = 'light' | 'dark';

export interface Visit {
  readonly page: Page;
  /** Errors in the page: exceptions, refused loads, requests to other origins. */
  readonly faults: string[];
}

export interface VisitOptions {
  readonly theme?: Theme;
  readonly width?: number;
  readonly height?: number;
}

/** A window of its own, which records everything that should not happen in it. */
export async function visit(browser: Browser, url: string, options: VisitOptions = {}): Promise<Visit> {
  const { theme = 'light', width = 1440, height = 900 } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    reducedMotion: 'reduce',
    permissions: [],
  });
  const page = await context.newPage();
  const faults: string[] = [];
  const home = new URL(url).origin;
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource|ERR_/.test(message.text())) faults.push(message.text());
  });
  page.on('request', (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== home && protocol !== 'blob:') faults.push(`a request to ${request.url()}`);
  });
  await page.goto(url);
  return { page, faults };
}

/** Violations of WCAG 2.2 AA on the page as it is now; empty: none. */
export async function flawsOf(page: Page): Promise<string[]> {
  // bypasses the page's own policy, which lets no foreign script in
  await page.evaluate(`(() => { const module = undefined; const exports = undefined; ${axe.source} })()`);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const script = `axe.run(document, { runOnly: { type: 'tag', values: ${JSON.stringify(tags)} } })`;
  const { violations } = await page.evaluate<AxeResults>(script);
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
}
