// `npm run screenshots -- fleet [folder]`: 200 services with 5 instances each, and screenshots of every screen of the
// dashboard at four widths in both themes, for review: by default in a new temporary folder, whose path is printed.
// Those of SHOWN are updated in docs/images. Takes two minutes.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDashboardFleet } from '../e2e/browser/dist/fleet.js';
import { reduce } from './screenshots-png.mjs';

const SIZES = [
  [1_440, 900],
  [1_024, 768],
  [768, 1_024],
  [390, 844],
];
const THEMES = ['light', 'dark'];
/** Name of the screen, width, theme → name of the image in docs/images. */
const SHOWN = {
  'instances-1440-light': 'instances-light',
  'instances-1440-dark': 'instances-dark',
  'instances-390-light': 'instances-390',
  'services-768-light': 'services-768',
};
/** The delay of content that arrives after the page: answers, graphs and their data. */
const LATER_MS = 1_500;

export async function shootFleet(browser, images, folder = mkdtempSync(join(tmpdir(), 'rollcall-screens-'))) {
  const fleet = await openDashboardFleet();
  mkdirSync(folder, { recursive: true });
  const context = await browser.newContext({ reducedMotion: 'reduce' });
  const page = await context.newPage();
  for (const [name, hash] of screensOf(fleet)) {
    await page.goto(`${fleet.url}/${hash}`);
    await page.locator('.pill.live').waitFor();
    await page.waitForTimeout(LATER_MS);
    for (const [full, png] of await takeAll(page, name)) {
      writeFileSync(join(folder, `${full}.png`), png);
      if (SHOWN[full] !== undefined) writeFileSync(join(images, `${SHOWN[full]}.png`), reduce(png));
    }
  }
  await context.close();
  await fleet.close();
  console.log(`Every screen at ${SIZES.length} widths in ${THEMES.length} themes: ${folder}`);
}

/** The page as it is, at each width in each theme: name → PNG. */
async function takeAll(page, name) {
  const taken = new Map();
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    for (const theme of THEMES) {
      await page.emulateMedia({ colorScheme: theme });
      taken.set(`${name}-${width}-${theme}`, await page.screenshot());
    }
  }
  return taken;
}

function screensOf(fleet) {
  const { id, namespace, service } = fleet.one('unproved');
  return [
    ['overview', '#/overview'],
    ['services', '#/services'],
    ['service', `#/services/${namespace}/${service}`],
    ['instances', '#/instances'],
    ['instance', `#/instances/${id}`],
    ['topology', '#/topology?only=unhealthy&ns=staging'],
    ['topology-table', '#/topology?view=table'],
    ['events', '#/events'],
    ['registry', '#/registry'],
    ['pictures', '#/pictures'],
    ['nowhere', '#/nothing/here'],
  ];
}
