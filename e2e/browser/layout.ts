import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';

/** A function, as text: it runs in the page. */
const LAYOUT_SCRIPT = readFileSync(new URL('look.js', import.meta.url), 'utf8');

/** Flaws in the layout of the page as it is now, as found by `look.js`; empty: none. */
export async function layoutFlawsOf(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => { ${LAYOUT_SCRIPT}\n return look(); })()`);
}
