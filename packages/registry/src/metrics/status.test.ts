import type { Frame } from '@rollcall/core';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SECOND, SECRET, silent, value, RegistryFixture } from '../registry.fixture.js';

/** The knowledge of a watcher of everything, by the rules of docs/PROTOCOL.md. */
class EverythingWatched {
  readonly #lines = new Map<string, string>();

  constructor(fixture: RegistryFixture) {
    const order = { namespace: '*', services: ['*'], resume: [], cursor: null, line: null };
    const flush = (shared: readonly { readonly frame: Frame }[]): void =>
      shared.forEach(({ frame }) => this.#take(frame));
    value(fixture.registry.watch(order, { flush, beat() {}, backlog: () => 0, end() {} }));
  }

  get hash(): string {
    const byId = [...this.#lines].toSorted(([one], [other]) => (one < other ? -1 : 1));
    return createHash('sha256')
      .update(byId.map(([, line]) => line).join(''))
      .digest('hex');
  }

  #take({ event, data }: Frame): void {
    if (event !== 'reset' && event !== 'change') return;
    const of = `${data.namespace}/${data.service}`;
    const upsert = event === 'reset' ? data.instances : data.upsert;
    for (const { id, revision } of upsert) this.#lines.set(id, `${of}/${id} ${revision}\n`);
    if (event === 'change') for (const { id } of data.remove) this.#lines.delete(id);
  }
}

describe('the hash of the view', () => {
  it('equals the hash computed by a watcher of everything', async () => {
    const fixture = await RegistryFixture.start();
    const watched = new EverythingWatched(fixture);
    const check = async (): Promise<string> => {
      await fixture.time.advanceBy(100);
      const { view, revision } = value(fixture.registry.describe());
      expect(view).toEqual({ revision, hash: watched.hash });
      return view.hash;
    };
    const seen = [await check()];
    // the hash of an empty view
    expect(seen).toEqual(['e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']);
    await fixture.registerHealthy('orders-B', 3001);
    await fixture.registerHealthy('orders-a', 3002);
    await fixture.registerHealthy('orders-10', 3003);
    seen.push(await check());
    value(await fixture.register('stock-1', 3004, { service: 'stock', namespace: 'a-shop' }));
    seen.push(await check());
    value(await fixture.registry.amend('orders-a', { weight: 1 }, { operator: true }));
    seen.push(await check());
    value(await fixture.registry.leave('orders-B', { secret: SECRET }));
    seen.push(await check());
    expect(new Set(seen).size).toBe(5);
  });

  it('is the same for the same revision', async () => {
    const fixture = await RegistryFixture.start();
    await fixture.registerHealthy('orders-1', 3001);
    const { view } = value(fixture.registry.describe());
    await fixture.time.advanceBy(20 * SECOND);
    expect(value(fixture.registry.describe()).view).toEqual(view);
  });
});

describe('the description of the registry', () => {
  it('contains what self-preservation allows and holds, in all and for each held service', async () => {
    const fixture = await RegistryFixture.start();
    for (let at = 1; at <= 4; at += 1) await fixture.registerHealthy(`orders-${at}`, 3_000 + at);
    await fixture.time.advanceBy(SECOND);
    expect(value(fixture.registry.describe()).preservation).toEqual({
      active: false,
      text: 'off: no instance is held',
      sinceMs: null,
      registry: { used: 0, allowed: 1, peak: 4, total: 4, silent: 0, rule: null, text: null, sinceMs: null },
      services: [],
      servicesHolding: 0,
    });
    for (let at = 1; at <= 3; at += 1) fixture.network.responders.set(3_000 + at, () => silent);
    await fixture.time.advanceBy(60 * SECOND);
    const { preservation } = value(fixture.registry.describe());
    expect(preservation).toMatchObject({
      active: true,
      text: expect.stringContaining('3 of 4 instances are silent'),
      registry: { used: 0, allowed: 1, peak: 4, total: 4, silent: 3, rule: 'mass' },
      services: [{ namespace: 'default', service: 'orders', rule: 'mass', silent: 3 }],
      servicesHolding: 1,
    });
    expect(preservation.sinceMs).toBeGreaterThan(40 * SECOND);
    expect(preservation.sinceMs).toBeLessThanOrEqual(60 * SECOND);
  });

  it('contains its policy, its limits and, if known, its options and their sources', async () => {
    const fixture = await RegistryFixture.start({ limits: { maxInstances: 7 } });
    const { policy, limits, options, calls } = value(fixture.registry.describe());
    expect(calls).toEqual({ p99LateMs: 0, waiting: 0 });
    expect(policy).toMatchObject({ intervalMs: 5_000, criticalAfter: 3 });
    expect(limits).toMatchObject({ maxInstances: 7 });
    expect(options).toEqual({});
  });
});
