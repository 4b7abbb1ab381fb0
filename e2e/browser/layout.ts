import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';

/** A function, as text: it runs in the page. */
const LOOK = readFileSync(new URL('look.js', import.meta.url), 'utf8');

/** What is wrong with the layout of the page as it is now, as `look.js` says; empty: nothing. */
export async function layoutFlawsOf(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => { ${LOOK}\n return look(); })()`);
}
