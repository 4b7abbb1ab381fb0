import { describe, expect, it } from 'vitest';
import { MemoryStore } from '../store/memory.js';
import { startRegistry } from './start.js';
import type { StartOptions } from './start.js';

describe('the options of a registry', () => {
  it.each([
    [{ prot: 0 }, 'Did you mean port?'],
    [{ port: 70_000 }, 'a whole number from 0 to 65535'],
    [{ intervalMs: 1_000, timeoutMs: 500 }, 'choose at most 400'],
    [{ allowedNetworks: ['10.0.0.0'] }, 'a network such as 10.0.0.0/8'],
  ])('are checked before anything is opened: %j', async (options, text) => {
    await expect(startRegistry(options as StartOptions)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(text),
    });
  });

  it.each([
    [{}, { intervalMs: 5_000, timeoutMs: 2_000 }],
    [{ intervalMs: 1_000 }, { intervalMs: 1_000, timeoutMs: 400 }],
    [{ intervalMs: 15_000 }, { intervalMs: 15_000, timeoutMs: 2_000 }],
  ])('%j make the terms %j', async (options, terms) => {
    const registry = await startRegistry({ port: 0, ...options });
    const answer = (await (await fetch(`${registry.url}/api/v1/registry`)).json()) as { heartbeat: unknown };
    expect(answer.heartbeat).toMatchObject(terms);
    await registry.close();
  });
});

describe('a registry that cannot load its store', () => {
  it('does not start, and leaves nothing open', async () => {
    const store = Object.assign(new MemoryStore(), { load: () => Promise.reject(new Error('damaged')) });
    await expect(startRegistry({ port: 0, store })).rejects.toThrow('damaged');
    await expect(store.write([])).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
