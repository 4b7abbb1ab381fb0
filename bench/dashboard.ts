import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { CDPSession, Page } from 'playwright-core';
import { start } from './child.js';
import { quantile, round, single } from './harness.js';
import type { Bench, Figure, Report } from './harness.js';

const SERVICES = 50;
const PER_SERVICE = 20;
const CHANGES_PER_MINUTE = 5_000;
const MINUTES = Number(process.env['DASHBOARD_MINUTES'] ?? '5');
const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
/** It connects to nothing but the registry. */
const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-sync',
  '--no-first-run',
];

/** In the page: how long each frame was on the screen, since the last reading. */
const WATCH_FRAMES = `(() => {
  const frames = []; let last = performance.now();
  const next = (now) => { frames.push(now - last); last = now; requestAnimationFrame(next); };
  requestAnimationFrame(next);
  window.takeFrames = () => frames.splice(0);
})()`;

interface Crowd {
  readonly ids: readonly string[];
}

/** The live memory of the page after a collection, bytes. */
async function heapOf(session: CDPSession): Promise<number> {
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = (await session.send('Runtime.getHeapUsage')) as { readonly usedSize: number };
  return usedSize;
}

/** Weights change all over the fleet, steadily: each is a change that every row of its service could show. */
function startChanges(url: string, ids: readonly string[]): () => Promise<number> {
  const begunAt = performance.now();
  const open = new Set<Promise<unknown>>();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - begunAt) * CHANGES_PER_MINUTE) / 60_000;
    for (; sent < due; sent += 1) {
      const id = ids[(sent * 7) % ids.length] ?? '';
      const request = fetch(`${url}/api/v1/instances/${id}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
        body: JSON.stringify({ weight: 1 + (sent % 999) }),
      }).then((response) => response.arrayBuffer());
      open.add(request);
      void request.finally(() => open.delete(request));
    }
  }, 20);
  return async () => {
    clearInterval(timer);
    await Promise.all(open);
    return sent;
  };
}

const COUNT_SHOWN = `[...document.querySelectorAll('.counters b')].reduce((sum, b) => sum + Number(b.textContent.replace(/\\D/g, '')), 0)`;
const TIMEOUT_MS = 120_000;

async function waitForInstances(page: Page, count: number): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS;
  // no `waitForFunction`: the page's own policy forbids evaluation of text
  while ((await page.evaluate<number>(COUNT_SHOWN)) < count) {
    if (performance.now() > deadline) throw new Error(`The page does not show all ${count} instances.`);
    await page.waitForTimeout(250);
  }
}

interface Run {
  readonly frames: number[];
  readonly heaps: number[];
  readonly changes: number;
}

async function watch(page: Page, url: string, ids: readonly string[]): Promise<Run> {
  const session = await page.context().newCDPSession(page);
  await page.evaluate(WATCH_FRAMES);
  const stop = startChanges(url, ids);
  const frames: number[] = [];
  const heaps: number[] = [];
  for (let minute = 0; minute < MINUTES; minute += 1) {
    await page.waitForTimeout(60_000);
    frames.push(...(await page.evaluate<number[]>('window.takeFrames()')));
    heaps.push(await heapOf(session));
    await page.evaluate('window.takeFrames()'); // the collection stopped it
  }
  return { frames, heaps, changes: await stop() };
}

async function run(report: Report): Promise<void> {
  if (!existsSync(CHROMIUM)) throw new Error(`There is no ${CHROMIUM}: install chromium, or set CHROMIUM to its path.`);
  const registry = await start('feed-registry', []);
  const specs = Array.from({ length: SERVICES }, (_, at) => `service-${at}=${PER_SERVICE}`);
  const crowd = await start('crowd', [registry.readyMessage, ...specs]);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS });
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(registry.readyMessage);
    await waitForInstances(page, SERVICES * PER_SERVICE);
    const { ids } = JSON.parse(crowd.readyMessage) as Crowd;
    reportRun(report, await watch(page, registry.readyMessage, ids));
  } finally {
    await browser.close();
    await crowd.kill();
    await registry.kill();
  }
}

function reportRun(report: Report, { frames, heaps, changes }: Run): void {
  const mib = heaps.map((bytes) => bytes / 1024 / 1024);
  const frame = (share: number): Figure['value'] => round(quantile(frames, share));
  report(single('frame, p50', 'ms', [frame(0.5)]));
  report(single('frame, p99', 'ms', [frame(0.99)], '<= 100'));
  report(single('frame, longest', 'ms', [frame(1)]));
  report(single('changes', '', [changes]));
  report(single('heap after each minute', 'MiB', mib));
  report(single('heap, last minute less first', 'MiB', [(mib.at(-1) ?? 0) - (mib[0] ?? 0)], 'flat'));
}

/** 1,000 instances, 5,000 changes a minute for five minutes (`DASHBOARD_MINUTES`), in a real Chromium. */
export const dashboard: Bench = {
  name: 'dashboard',
  question: 'Does the dashboard stay smooth and small while 1,000 instances change 5,000 times a minute?',
  run,
};
