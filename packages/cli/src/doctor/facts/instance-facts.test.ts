import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Town } from '../../town.fixture.js';
import { Asker } from './http-probe.js';
import { Look } from './instance-facts.js';

let town: Town;
beforeAll(async () => {
  town = await Town.start({ intervalMs: 60_000 });
  await town.register('stock-77aa', 'stock');
  await town.register('stock-88bb', 'stock', { namespace: 'staging' });
  await town.register('orders-1e07', 'orders', { namespace: 'stable' });
});
afterAll(() => town.close());

function meant(word: string, namespace = '*') {
  const tls = { caFile: undefined, certFile: undefined, keyFile: undefined };
  const asker = new Asker({ url: town.url, others: [], namespace: 'default', token: undefined, tls });
  return new Look(asker, null).instances(word, namespace);
}

describe('the word after rollcall doctor', () => {
  it.each<[string, readonly string[], boolean]>([
    ['stock', ['stock-77aa', 'stock-88bb'], true],
    ['stock…88bb', ['stock-88bb'], false],
    ['staging/stock', ['stock-88bb'], true],
    ['staging/stock…88bb', ['stock-88bb'], false],
    ['stag…/st…88bb', ['stock-88bb'], false],
    ['default/77aa', ['stock-77aa'], false],
  ])('%s is taken as it is printed', async (word, ids, isWhole) => {
    const { instances, ...rest } = await meant(word);
    expect([instances.map(({ id }) => id).toSorted(), rest.isWhole]).toEqual([ids, isWhole]);
  });

  it('has the namespace that is typed before it, whatever the option says', async () => {
    const { instances } = await meant('staging/stock', 'default');
    expect(instances.map(({ id }) => id)).toEqual(['stock-88bb']);
  });

  it('is refused where its namespace is not there, is one of several, or has nobody of that name', async () => {
    await expect(meant('nope/stock')).rejects.toMatchObject({ message: expect.stringContaining('namespace "nope"') });
    await expect(meant('sta…/stock')).rejects.toMatchObject({ message: expect.stringContaining('stable, staging') });
    await expect(meant('staging/stok')).rejects.toMatchObject({
      message: 'There is no service and no instance "staging/stok". Did you mean stock?',
    });
  });
});
