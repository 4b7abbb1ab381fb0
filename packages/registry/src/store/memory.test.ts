import { describe, expect, it } from 'vitest';
import { storeContract, storedInstance } from './contract.js';
import { MemoryStore } from './memory.js';

storeContract('memory', { open: async () => new MemoryStore() });

describe('MemoryStore', () => {
  it('gives each reader a list of its own', async () => {
    const store = new MemoryStore();
    const before = await store.load();
    await store.write([{ put: storedInstance('orders-1', 7) }]);
    expect(before.instances).toEqual([]);
    expect((await store.load()).instances).toHaveLength(1);
  });
});
