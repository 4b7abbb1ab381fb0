import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchBrowser, browserSkipReason } from './browser.js';
import { openDashboardFleet } from './fleet.js';
import type { DashboardFleet } from './fleet.js';

const INSTANCES = 1_000;
/** 400 kbit/s, in bytes a second; ms. */
const SLOW = { downloadThroughput: 50_000, uploadThroughput: 50_000, latency: 50, offline: false };
const CHANGES_PER_MINUTE = 3_000;
const WATCH_MS = 20_000;
const TIMEOUT_MS = 60_000;

interface Counted {
  readonly url: string;
  /** Bytes sent to the browser, heads of answers included. */
  bytes(): number;
  close(): Promise<void>;
}

/** A proxy to the registry that counts the bytes it returns. */
async function openCounter(registry: string): Promise<Counted> {
  const port = Number(new URL(registry).port);
  const sockets = new Set<Socket>();
  let bytes = 0;
  const server = createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
    for (const end of [socket, onward]) {
      sockets.add(end);
      end.on('error', () => {}).on('close', () => [socket, onward].forEach((one) => one.destroy()));
    }
    onward.on('data', (part: Buffer) => void (bytes += part.length));
    onward.pipe(socket).pipe(onward);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => bytes,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Resolves when the verdict, the counters and the wall are shown, for all instances. */
async function waitUntilAllShown(page: Page): Promise<void> {
  await page.locator('h1', { hasText: /of 200 services|All 200/ }).waitFor({ timeout: TIMEOUT_MS });
  await page.locator('.event-lines li').first().waitFor({ timeout: TIMEOUT_MS });
}

/** Changes weights of HEALTHY instances, steadily, all over the fleet. Resolves with their number. */
function changeWeights({ url, members }: DashboardFleet, forMs: number): Promise<number> {
  const ids = members.filter(({ behavior: conduct }) => conduct === 'well').map(({ id }) => id);
  const begunAt = performance.now();
  const asked: Promise<unknown>[] = [];
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const elapsedMs = performance.now() - begunAt;
      while (asked.length < (Math.min(elapsedMs, forMs) * CHANGES_PER_MINUTE) / 60_000) {
        const answer = fetch(`${url}/api/v1/instances/${ids[(asked.length * 7) % ids.length]}`, {
          method: 'PATCH',
          headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
          body: JSON.stringify({ weight: 1 + (asked.length % 999) }),
        });
        asked.push(answer.then((response) => response.arrayBuffer()));
      }
      if (elapsedMs < forMs) return;
      clearInterval(timer);
      resolve(Promise.all(asked).then(({ length }) => length));
    }, 20);
  });
}

describe.skipIf(browserSkipReason !== null)('the cost of the dashboard of 1,000 instances', () => {
  let browser: Browser;
  let fleet: DashboardFleet;

  beforeAll(async () => {
    [browser, fleet] = await Promise.all([launchBrowser(), openDashboardFleet()]);
    expect(fleet.members).toHaveLength(INSTANCES);
  }, 180_000);
  afterAll(async () => {
    await browser?.close();
    await fleet?.close();
  });

  it('loads at most 125 KB at first', { timeout: 90_000 }, async () => {
    const proxy = await openCounter(fleet.url);
    const page = await browser.newPage();
    await page.goto(proxy.url);
    await waitUntilAllShown(page);
    await page.waitForLoadState('load');
    const kb = proxy.bytes() / 1_000;
    console.log(`first load: ${kb.toFixed(0)} KB`);
    expect(kb).toBeLessThanOrEqual(125);
    await page.close();
    await proxy.close();
  });

  // other load on the machine makes it slower, never faster
  it('shows a verdict within 3 s over 400 kbit/s', { timeout: 90_000, retry: 2 }, async () => {
    const page = await browser.newPage();
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    await session.send('Network.emulateNetworkConditions', SLOW);
    const begunAt = performance.now();
    const shown = async (text: RegExp): Promise<number> => {
      await page.locator('h1', { hasText: text }).waitFor({ timeout: TIMEOUT_MS });
      return performance.now() - begunAt;
    };
    await page.goto(fleet.url, { waitUntil: 'commit' });
    const firstMs = await shown(/./);
    const verdictMs = await shown(/of 200 services .* attention|All 200/);
    console.log(`over 400 kbit/s: first text ${firstMs.toFixed(0)} ms, verdict ${verdictMs.toFixed(0)} ms`);
    expect(verdictMs).toBeLessThanOrEqual(3_000);
    await page.close();
  });

  it('uses at most a quarter of a core and 15 KB/s at 3,000 changes a minute', { timeout: 120_000 }, async () => {
    const proxy = await openCounter(fleet.url);
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(proxy.url);
    await waitUntilAllShown(page);
    const pageSession = await page.context().newCDPSession(page);
    const session = await browser.newBrowserCDPSession();
    await pageSession.send('Performance.enable');
    const cpuS = async (): Promise<number> => {
      const { processInfo } = await session.send('SystemInfo.getProcessInfo');
      return processInfo.filter(({ type }) => type === 'renderer').reduce((sum, { cpuTime }) => sum + cpuTime, 0);
    };
    const taskS = async (): Promise<number> => {
      const { metrics } = await pageSession.send('Performance.getMetrics');
      return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0;
    };
    const before = { cpu: await cpuS(), task: await taskS(), bytes: proxy.bytes(), at: performance.now() };
    const changes = await changeWeights(fleet, WATCH_MS);
    const elapsedS = (performance.now() - before.at) / 1_000;
    const cpu = ((await cpuS()) - before.cpu) / elapsedS;
    const task = ((await taskS()) - before.task) / elapsedS;
    const kbPerS = (proxy.bytes() - before.bytes) / 1_000 / elapsedS;
    const perMinute = (changes / elapsedS) * 60;
    console.log(
      `${perMinute.toFixed(0)} changes a minute: renderer ${(cpu * 100).toFixed(1)} % of a core, tasks ${(task * 100).toFixed(1)} %, ${kbPerS.toFixed(1)} KB/s`,
    );
    expect(changes).toBeGreaterThan((CHANGES_PER_MINUTE * WATCH_MS) / 60_000 / 2);
    expect(cpu).toBeLessThanOrEqual(0.25);
    expect(kbPerS).toBeLessThanOrEqual(15);
    await page.close();
    await proxy.close();
  });
});
