import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Load } from '../process/load.js';
import { endAll } from '../process/spawn.js';
import { openStage } from '../process/stage.js';
import type { Stage } from '../process/stage.js';
import { waitFor } from '../process/wait-for.js';
import { flawsOf, launchBrowser, visit, browserSkipReason } from './browser.js';

const INTERVAL_MS = 500;

const row = (page: Page, id: string) => page.locator('.attention tr', { hasText: `…${id.slice(-4)}` });

describe.skipIf(browserSkipReason !== null)('the dashboard, with real services, in a real browser', () => {
  let browser: Browser;
  let stage: Stage;
  let load: Load;

  beforeAll(async () => {
    [browser, stage] = await Promise.all([launchBrowser(), openStage({ intervalMs: INTERVAL_MS, a: 3, b: 2 })]);
    // makes calls, so that there are calls to show
    load = stage.load(20);
  }, 60_000);

  afterAll(async () => {
    await load?.stop();
    await browser?.close();
    await stage?.close();
    await endAll();
  });

  const at = (hash: string): string => `${stage.url}/${hash}`;

  it('summarizes the state in its heading, and shows every service and instance', async () => {
    const { page, faults } = await visit(browser, at(''));
    await page.getByRole('heading', { name: 'All 3 services can be reached.' }).waitFor();
    expect(await page.locator('.wall-row').count()).toBe(3);
    expect(await page.locator('.tile').count()).toBe(6);
    expect(await page.locator('.pill.live').innerText()).toBe('Live');
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('shows a killed instance, and its replacement, without a reload', async () => {
    const { page, faults } = await visit(browser, at(''));
    await page.getByRole('heading', { name: 'All 3 services can be reached.' }).waitFor();
    const victim = stage.services.a.at(0)!;
    const id = stage.idOf(victim)!;
    victim.kill('SIGSTOP');
    await row(page, id).waitFor();
    await page.getByRole('heading', { name: '1 of 3 services needs attention.' }).waitFor();
    const words = await row(page, id).innerText();
    expect(words).toMatch(/UNHEALTHY|CRITICAL/);
    expect(words).toMatch(/does not answer|Neither heartbeat works/);
    victim.kill('SIGKILL');
    await victim.exited;
    const replacement = stage.launch('a');
    await stage.waitUntilHealthy();
    await page.locator(`.tile[href*="${stage.idOf(replacement)!}"].HEALTHY`).waitFor();
    await page.getByRole('heading', { name: 'All 3 services can be reached.' }).waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('marks its view as old while the registry is down, and is live again by itself', async () => {
    const { page } = await visit(browser, at(''));
    await page.getByRole('heading', { name: 'All 3 services can be reached.' }).waitFor();
    const before = stage.registry;
    before.kill('SIGKILL');
    await before.exited;
    await page.locator('.pill.stale').waitFor();
    expect(await page.locator('.stale-bar').innerText()).toMatch(
      /This view is .* old\..*Your services are not affected/s,
    );
    expect(await page.locator('h1').innerText()).toMatch(/^All 3 services could be reached at \d\d:\d\d:\d\d\.$/);
    expect(await flawsOf(page)).toEqual([]);
    await stage.restartRegistry();
    await page.locator('.pill.live').waitFor();
    await stage.waitUntilHealthy();
    await page.getByRole('heading', { name: 'All 3 services can be reached.' }).waitFor();
    await page.context().close();
  });

  it('drains an instance, with a reason, and undrains it', async () => {
    const instance = stage.instances.find(({ service }) => service === 'b')!;
    const { page, faults } = await visit(browser, at(`#/instances/${instance.id}`));
    await page.getByRole('button', { name: 'Drain…' }).click();
    await page.getByLabel(/^Reason/).fill('new kernel');
    await page.getByRole('button', { name: 'Drain', exact: true }).click();
    await waitFor('it drains', () => stage.instances.find(({ id }) => id === instance.id)?.admin === 'DRAINING');
    await page.getByText('new kernel').first().waitFor();
    await page.getByRole('button', { name: 'Undrain…' }).click();
    await page.getByRole('button', { name: 'Enable', exact: true }).click();
    await waitFor(
      'it is called again',
      () => stage.instances.find(({ id }) => id === instance.id)?.admin === 'ENABLED',
    );
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('reports a service whose instances are all drained as not callable', async () => {
    const drained = stage.instances.filter(({ service }) => service === 'b');
    const waitForAdmin = async (admin: string): Promise<void> => {
      for (const { id } of drained) {
        const answer = await fetch(new URL(`api/v1/instances/${id}`, stage.url), {
          method: 'PATCH',
          headers: { 'content-type': 'application/json', 'x-rollcall-operator': '1' },
          body: JSON.stringify({ admin, reason: 'all at once' }),
        });
        expect(answer.status).toBe(200);
      }
    };
    const first = drained.at(0)!;
    await waitForAdmin('DRAINING');
    const { page, faults } = await visit(browser, at(''));
    await page.getByRole('heading', { name: `No instance of b may be called: ${drained.length} drained.` }).waitFor();
    // one cause is one row, with the operator
    const cause = page.locator('.attention tr', { hasText: `${drained.length} instances` });
    await cause.getByText(/^Drained \d+ s ago by .*\(all at once\)\.$/).waitFor();
    expect(await cause.innerText()).toMatch(/NOT CALLABLE[^]*DRAINING[^]*until undrained by an operator/);
    await page.goto(at('#/services/default/b'));
    const verdict = `b: no instance may be called, 0 of ${drained.length} callable: ${drained.length} drained.`;
    await page.getByRole('heading', { name: verdict }).waitFor();
    await page
      .getByText(/Drained \d+ s ago by .*\(all at once\)/)
      .first()
      .waitFor();
    await page.goto(at(`#/instances/${first.id}`));
    await page.getByText(/It gets no calls: drained \d+ s ago by .*\(all at once\)/).waitFor();
    expect(await flawsOf(page)).toEqual([]);
    await waitForAdmin('ENABLED');
    await page.goto(at(''));
    await page.getByRole('heading', { name: 'All 3 services can be reached.' }).waitFor();
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('removes an instance only after its name was typed', async () => {
    const instance = stage.instances.find(({ service }) => service === 'a')!;
    const { page } = await visit(browser, at(`#/instances/${instance.id}`));
    await page.getByRole('button', { name: 'Deregister…' }).click();
    const button = page.getByRole('button', { name: 'Deregister', exact: true });
    expect(await button.isDisabled()).toBe(true);
    await page.getByLabel(/^Type/).fill(`a…${instance.id.slice(-4)}`);
    await page.getByLabel(/^Reason/).fill('nobody knows it');
    await button.click();
    await waitFor('it is gone', () => !stage.instances.some(({ id }) => id === instance.id));
    await page.getByRole('heading', { name: /is not registered/ }).waitFor();
    await page.getByText('removed by an operator: nobody knows it').first().waitFor();
    // its process no longer takes part
    const killed = stage.services.a.find((child) => stage.idOf(child) === instance.id)!;
    killed.kill('SIGKILL');
    await killed.exited;
    stage.launch('a');
    await stage.waitUntilHealthy();
    await page.context().close();
  });

  it('is navigated by keyboard', async () => {
    const { page } = await visit(browser, at(''));
    await page.locator('.wall-row').first().waitFor();
    const keys: readonly (readonly [string, RegExp])[] = [
      ['s', /#\/services/],
      ['t', /#\/topology/],
      ['e', /#\/events/],
      ['r', /#\/registry/],
      ['o', /#\/overview/],
    ];
    for (const [key, hash] of keys) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.waitForURL(hash);
    }
    // a new screen starts at its top
    await page.locator('#main:focus').waitFor();
    await page.locator('[data-row]').first().waitFor();
    await page.keyboard.press('j');
    await page.locator('[data-row] a:focus').waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL(/#\/services\/default\/\w+/);
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor({ state: 'detached' });
    const wanted = stage.instances.find(({ service }) => service === 'gateway')!;
    await page.keyboard.press('/');
    await page.keyboard.type(`gateway…${wanted.id.slice(-4)}`);
    await page.locator('[role="option"]').first().waitFor();
    await page.keyboard.press('Enter');
    await page.waitForURL(new RegExp(wanted.id));
    await page.context().close();
  });

  const screens = (): readonly (readonly [string, string, RegExp])[] => {
    const first = stage.instances.at(0)!;
    return [
      ['overview', '', /services/],
      ['services', '#/services', /services/],
      ['service', '#/services/default/a', /^a: \d of \d callable/],
      ['instance', `#/instances/${first.id}`, /…/],
      ['topology', '#/topology', /edge|No call has been reported/],
      ['topology as a table', '#/topology?view=table', /edge|No call has been reported/],
      ['events', '#/events', /events? in the last minute/],
      ['registry', '#/registry', /The registry serves/],
      ['pictures', '#/pictures', /The heartbeat picture/],
      ['nowhere', '#/nothing/here', /There is no such page/],
    ];
  };

  it.each(['light', 'dark'] as const)('violates no rule of WCAG 2.2 AA on any screen, in %s', async (theme) => {
    const { page, faults } = await visit(browser, at(''), { theme });
    for (const [name, hash, heading] of screens()) {
      await page.goto(at(hash));
      await page.locator('h1', { hasText: heading }).waitFor();
      expect(await flawsOf(page), name).toEqual([]);
    }
    expect(faults).toEqual([]);
    await page.context().close();
  });

  it('fits a telephone', async () => {
    const { page } = await visit(browser, at(''), { width: 390, height: 844 });
    for (const [name, hash, heading] of screens()) {
      await page.goto(at(hash));
      await page.locator('h1', { hasText: heading }).waitFor();
      const tooWide = await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
      expect(tooWide, name).toBeLessThanOrEqual(0);
    }
    await page.context().close();
  });
});
