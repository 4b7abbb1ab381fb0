import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry, TokenRequest } from '@rollcall/registry';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { addToken } from '../process/token-file.js';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';
import { startPrefixProxy } from './prefix.js';

/** Texts that an instance might set about itself to be shown to an operator. */
const MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>{{7*7}}" onfocus="x';

const ID = 'orders-0192f0c1-7a3b-7c4d-8e5f-0123456789ab';

const idOf = (service: string, at: number): string =>
  `${service}-0192f0c1-7a3b-7c4d-8e5f-${String(at).padStart(12, '0')}`;

/** An instance behind a port that does not answer; it stays REGISTERING. */
async function registerStranger(url: string, fields: object = {}, token?: string): Promise<{ close(): void }> {
  const door = createServer().listen(0, '127.0.0.1');
  await once(door, 'listening');
  const { port } = door.address() as AddressInfo;
  const { status } = await fetch(`${url}/api/v1/register`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ id: ID, service: 'orders', endpoints: [{ protocol: 'tcp', port }], ...fields }),
  });
  expect(status).toBe(201);
  return { close: () => void door.close() };
}

describe.skipIf(browserSkipReason !== null)('the dashboard with untrusted instances', () => {
  let browser: Browser;
  const registries: RunningRegistry[] = [];

  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterEach(async () => {
    await Promise.all(registries.splice(0).map((registry) => registry.close()));
  });
  afterAll(async () => {
    await browser?.close();
  });

  const open = async (options: Parameters<typeof startRegistry>[0] = {}): Promise<RunningRegistry> => {
    const registry = await startRegistry({ port: 0, ...options });
    registries.push(registry);
    return registry;
  };

  it('shows the fields of an instance as text, whatever they contain', async () => {
    const registry = await open();
    const door = await registerStranger(registry.url, {
      version: MARKUP.slice(0, 64),
      metadata: { [MARKUP]: MARKUP, link: 'javascript:alert(1)' },
    });
    await fetch(`${registry.url}/api/v1/instances/${ID}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
      body: JSON.stringify({ admin: 'MAINTENANCE', reason: MARKUP }),
    });
    const { page, faults } = await visit(browser, registry.url);
    for (const hash of ['', '#/services', '#/services/default/orders', `#/instances/${ID}`, '#/events']) {
      await page.goto(`${registry.url}/${hash}`);
      await page.locator('h1').waitFor();
      await page.locator('main').getByText('orders').locator('visible=true').first().waitFor();
      expect(await page.locator('main img, main script, [onerror], [onfocus]').count(), hash).toBe(0);
    }
    await page.goto(`${registry.url}/#/instances/${ID}`);
    await page.getByText(MARKUP).first().waitFor();
    expect(await page.title()).toMatch(/Rollcall$/);
    expect(faults).toEqual([]);
    door.close();
    await page.context().close();
  });

  it('loads nothing but its own files, and refuses to be framed', async () => {
    const registry = await open();
    const { page } = await visit(browser, registry.url);
    const policy = (await page.goto(registry.url))!.headers()['content-security-policy'];
    expect(policy).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    const ran = await page.evaluate<boolean>(`(() => {
      const script = document.createElement('script');
      script.textContent = 'window.wasRun = true';
      document.head.append(script);
      return window.wasRun === true;
    })()`);
    expect(ran).toBe(false);
    await page.context().close();
  });

  it('works behind a path prefix and a proxy, with actions', async () => {
    const registry = await open();
    const proxy = await startPrefixProxy(registry.url, '/ops/rollcall/');
    const { page, faults } = await visit(browser, proxy.url);
    await page.getByRole('heading', { name: 'No service has registered yet.' }).waitFor();
    expect(await flawsOf(page)).toEqual([]);
    await page.getByText(`ROLLCALL_URL=${proxy.url.replace(/\/$/, '')} npm start`).waitFor();
    const door = await registerStranger(registry.url);
    // it arrived by the stream, through the proxy
    await page.locator('.tile.REGISTERING').click();
    await page.getByRole('button', { name: 'Weight 100' }).click();
    await page.getByRole('spinbutton').fill('7');
    expect(await flawsOf(page)).toEqual([]);
    await page.getByRole('button', { name: 'Set', exact: true }).click();
    await page.getByRole('button', { name: 'Weight 7' }).waitFor();
    expect(faults).toEqual([]);
    door.close();
    await proxy.close();
    await page.context().close();
  });

  it('asks for a token where the registry requires one, shows your identity, and hides what a reader may not do', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rollcall-browser-'));
    const path = join(folder, 'tokens.json');
    const make = async (role: TokenRequest['role']): Promise<string> => {
      const { token } = await addToken(path, { role, services: role === 'service' ? ['orders'] : [] });
      return token;
    };
    const [reader, operator, service] = [await make('reader'), await make('operator'), await make('service')];
    const registry = await open({ tokens: path });
    const door = await registerStranger(registry.url, {}, service);
    const { page, faults } = await visit(browser, registry.url);
    const enterToken = async (token: string): Promise<void> => {
      await page.getByLabel('Access token').fill(token);
      await page.getByRole('button', { name: 'Open', exact: true }).click();
    };
    await page.getByRole('heading', { name: 'This registry asks for a token.' }).waitFor();
    expect(await flawsOf(page)).toEqual([]);
    await enterToken('rct_wrong');
    await page.getByText('is not, or no longer, valid').waitFor();
    await enterToken(reader);
    await page.locator('.tile').first().waitFor();
    await page.goto(`${registry.url}/#/instances/${ID}`);
    await page.getByRole('heading', { name: /^State, last hour/ }).waitFor();
    await page.locator('.pill.role', { hasText: 'reader' }).waitFor();
    // actions that a reader may not take are not offered
    await page.getByText('revision', { exact: false }).first().waitFor();
    expect(
      await page
        .locator('main')
        .getByRole('button', { name: /Check now|Drain|Maintenance|Weight|Deregister/ })
        .count(),
    ).toBe(0);
    // it belongs to this tab only
    const { page: other } = await visit(browser, registry.url);
    await other.getByRole('heading', { name: 'This registry asks for a token.' }).waitFor();
    await other.context().close();
    await page.evaluate('sessionStorage.clear()');
    await page.goto(registry.url);
    await enterToken(operator);
    await page.getByText('operator').first().waitFor();
    await page.goto(`${registry.url}/#/instances/${ID}`);
    await page.getByRole('button', { name: 'Drain…' }).click();
    await page.getByRole('button', { name: 'Drain', exact: true }).click();
    await page.getByRole('button', { name: 'Undrain…' }).waitFor();
    expect(faults).toEqual([]);
    door.close();
    await rm(folder, { recursive: true });
    await page.context().close();
  });

  it('forgets missing instances when a registry restarts without its memory', async () => {
    const first = await open();
    const doors = [
      await registerStranger(first.url, { id: idOf('orders', 1), service: 'orders' }),
      await registerStranger(first.url, { id: idOf('payments', 1), service: 'payments' }),
    ];
    const { page } = await visit(browser, first.url);
    await page.locator('.wall-row', { hasText: 'payments' }).waitFor();
    registries.splice(0);
    await first.close();
    await page.locator('.pill.stale').waitFor();
    const second = await open({ port: Number(new URL(first.url).port) });
    doors.push(await registerStranger(second.url, { id: idOf('orders', 2), service: 'orders' }));
    await page.locator('.pill.live').waitFor();
    await page.locator('.wall-row', { hasText: 'payments' }).waitFor({ state: 'detached' });
    expect(await page.locator('.tile').allInnerTexts()).toEqual(['0002']);
    for (const door of doors) door.close();
    await page.context().close();
  });

  it('continues without animation frames, as in a hidden tab', async () => {
    const registry = await open();
    const context = await browser.newContext();
    await context.addInitScript('window.requestAnimationFrame = () => 0');
    const page = await context.newPage();
    await page.goto(registry.url);
    const door = await registerStranger(registry.url);
    await page.locator('.tile').waitFor();
    door.close();
    await context.close();
  });

  it('finds the service of that name first, however many others contain the word', async () => {
    const registry = await open();
    const doors = [await registerStranger(registry.url, { id: idOf('orders', 1), service: 'orders' })];
    for (let at = 1; at <= 15; at += 1) {
      doors.push(await registerStranger(registry.url, { id: idOf('legacy-orders', at), service: 'legacy-orders' }));
    }
    const { page } = await visit(browser, registry.url);
    await page.locator('.wall-row').first().waitFor();
    await page.locator('#search').fill('orders');
    expect(await page.locator('#hits').getByRole('option').first().innerText()).toMatch(/^orders\s/);
    await page.locator('#search').fill('orders...0001');
    expect(await page.locator('#hits').getByRole('option').allInnerTexts()).toEqual([
      expect.stringMatching(/^orders…0001/),
    ]);
    for (const door of doors) door.close();
    await page.context().close();
  });
});
