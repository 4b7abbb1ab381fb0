import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Testbed } from '../../testbed.fixture.js';
import { RegistryProbe } from './http-probe.js';
import { InstanceCollector } from './instance-facts.js';

let testbed: Testbed;
beforeAll(async () => {
  testbed = await Testbed.start({ intervalMs: 60_000 });
  await testbed.register('stock-77aa', 'stock');
  await testbed.register('stock-88bb', 'stock', { namespace: 'staging' });
  await testbed.register('orders-1e07', 'orders', { namespace: 'stable' });
});
afterAll(() => testbed.close());

function resolve(operand: string, namespace = '*') {
  const tls = { caFile: undefined, certFile: undefined, keyFile: undefined };
  const probe = new RegistryProbe({ url: testbed.url, otherUrls: [], namespace: 'default', token: undefined, tls });
  return new InstanceCollector(probe, null).instances(operand, namespace);
}

describe('the operand of rollcall doctor', () => {
  it.each<[string, readonly string[], boolean]>([
    ['stock', ['stock-77aa', 'stock-88bb'], true],
    ['stock…88bb', ['stock-88bb'], false],
    ['staging/stock', ['stock-88bb'], true],
    ['staging/stock…88bb', ['stock-88bb'], false],
    ['stag…/st…88bb', ['stock-88bb'], false],
    ['default/77aa', ['stock-77aa'], false],
  ])('resolves %s as it is printed', async (operand, ids, isComplete) => {
    const { instances, ...rest } = await resolve(operand);
    expect([instances.map(({ id }) => id).toSorted(), rest.isComplete]).toEqual([ids, isComplete]);
  });

  it('uses the namespace that is typed before the operand, whatever the option is', async () => {
    const { instances } = await resolve('staging/stock', 'default');
    expect(instances.map(({ id }) => id)).toEqual(['stock-88bb']);
  });

  it('refuses a namespace that is unknown, ambiguous, or without that name', async () => {
    await expect(resolve('nope/stock')).rejects.toMatchObject({ message: expect.stringContaining('namespace "nope"') });
    await expect(resolve('sta…/stock')).rejects.toMatchObject({ message: expect.stringContaining('stable, staging') });
    await expect(resolve('staging/stok')).rejects.toMatchObject({
      message: 'There is no service and no instance "staging/stok". Did you mean stock?',
    });
  });
});
