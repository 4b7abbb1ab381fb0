import { recordingLog } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { MemoryStore } from './memory.js';
import { openedStore } from './opened.js';
import type { Contents, StoredInstance } from './store.js';

async function warningsFor(...tokens: readonly (string | undefined)[]): Promise<readonly string[]> {
  const instances = tokens.map((token) => ({ token }) as unknown as StoredInstance);
  const contents: Contents = { instances, tombstones: [], preservation: null };
  const log = recordingLog();
  const store = openedStore(Object.assign(new MemoryStore(), { load: async () => contents }), log);
  expect(await store.load()).toBe(contents);
  return log.texts('warn');
}

it('passes on the fault of the store', () => {
  const fault = { text: 'gone', sinceMs: 7 };
  const broken = Object.assign(new MemoryStore(), { fault: () => fault });
  expect(openedStore(broken, recordingLog()).fault?.()).toBe(fault);
  expect(openedStore(new MemoryStore(), recordingLog()).fault?.()).toBeNull();
});

it('warns only if instances registered with tokens or certificates that are not required any more', async () => {
  expect(await warningsFor('0123456789', undefined, 'cert:0123456789abcdef')).toEqual([
    expect.stringMatching(
      /asks for neither token nor client certificate.* but 2 of the instances in memory registered with a token or a client certificate: .* tls\.caFile, was lost/,
    ),
  ]);
  expect(await warningsFor(undefined)).toEqual([]);
  expect(await warningsFor()).toEqual([]);
});
