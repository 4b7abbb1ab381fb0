import { sampleInstance } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createInstance, EPOCH } from '../registry-client/registry-client.fixture.js';
import { decodeCopies, encodeCopies, MAX_CACHE_AGE_MS, MAX_CACHE_BYTES } from './cache-file.js';
import type { CacheOwner, KeptCopy } from './cache-file.js';

const OWNER: CacheOwner = { namespace: 'default', registries: ['http://one:1337', 'http://two:1337'] };
const NOW = 1_790_000_000_000;

function createCopy(service: string, count: number, fields: Partial<KeptCopy> = {}): KeptCopy {
  const instances = Array.from({ length: count }, (_, n) =>
    createInstance({ id: `${service}-${n}`, service, revision: n }),
  );
  return { service, heardAt: NOW, epoch: EPOCH, revision: count, instances, unconfirmed: [], ...fields };
}

const piecesOf = (copies: readonly KeptCopy[], owner = OWNER): readonly string[] =>
  [...encodeCopies(owner, copies)].filter((piece) => typeof piece === 'string');
const written = (copies: readonly KeptCopy[], owner = OWNER): string => piecesOf(copies, owner).join('');

function read(text: string, owner = OWNER, wall = NOW) {
  const steps = decodeCopies(text, owner, wall);
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value;
}

describe('the cache file', () => {
  it('returns the written content, with any number of instances', () => {
    const unconfirmed = ['users-0', 'users-700', 'users-999'];
    const copies = [
      createCopy('orders', 3, { unconfirmed: ['orders-1'] }),
      createCopy('users', 1_000, { unconfirmed }),
    ];
    expect(read(written(copies))).toEqual({ ok: true, value: copies });
  });

  it('is written and read in chunks of at most 128 instances', () => {
    const pieces = piecesOf([createCopy('users', 1_000)]);
    expect(pieces).toHaveLength(10);
    let turns = 0;
    const steps = decodeCopies(pieces.join(''), OWNER, NOW);
    while (steps.next().done !== true) turns += 1;
    expect(turns).toBe(8);
  });

  it('may be empty', () => {
    expect(read(written([]))).toEqual({ ok: true, value: [] });
  });

  it('drops copies that are too old, and accepts copies with a future date', () => {
    const copies = [
      createCopy('old', 1),
      createCopy('new', 1, { heardAt: NOW + 1 }),
      createCopy('next', 1, { heardAt: 9e15 }),
    ];
    const found = read(written(copies), OWNER, NOW + MAX_CACHE_AGE_MS + 1);
    expect(found.ok && found.value.map(({ service }) => service)).toEqual(['new', 'next']);
  });

  it('drops a service that exceeds the limit, and keeps the others', () => {
    const metadata = { note: 'x'.repeat(4_000) };
    const instances = createCopy('big', 5_000).instances.map((instance) => ({ ...instance, metadata }));
    const big = createCopy('big', 0, { instances });
    const text = written([createCopy('a', 1), big, createCopy('b', 1)]);
    expect(text.length).toBeLessThan(MAX_CACHE_BYTES);
    const found = read(text);
    expect(found.ok && found.value.map(({ service }) => service)).toEqual(['a', 'b']);
  });

  it.each([
    ['another namespace', { ...OWNER, namespace: 'shop' }, 'another namespace'],
    ['other registries', { ...OWNER, registries: ['http://three:1337'] }, 'another registry'],
  ])('is not used if it belongs to %s', (_, owner, why) => {
    expect(read(written([createCopy('orders', 1)]), owner)).toEqual({
      ok: false,
      problem: expect.stringContaining(why),
    });
  });

  it('is used if at least one of the registries is the same', () => {
    expect(read(written([createCopy('orders', 1)]), { ...OWNER, registries: ['http://two:1337', 'x'] }).ok).toBe(true);
  });

  it.each([
    ['nothing', '', 'no cache'],
    ['something else', '{"a":1}\n{"b":2}\n', 'no cache'],
    ['no text', '\u0000\u0001', 'no cache'],
    ['another format version', written([]).replace('"version":1', '"version":2'), 'another version'],
  ])('is not used when it contains %s', (_, text, why) => {
    expect(read(text)).toEqual({ ok: false, problem: expect.stringContaining(why) });
  });

  it('is never used, and reading never throws, if any part is missing or changed', () => {
    const text = written([createCopy('orders', 3), createCopy('users', 1)]);
    const damage = fc.oneof(
      fc.nat(text.length - 1).map((at) => text.slice(0, at)),
      fc.tuple(fc.nat(text.length - 1), fc.constantFrom('x', '0', '"', '\n', '{')).map(([at, by]) => {
        return text.slice(0, at) + by + text.slice(at + 1);
      }),
      fc.tuple(fc.nat(text.length - 1), fc.nat(50)).map(([at, by]) => text.slice(0, at) + text.slice(at + by + 1)),
    );
    fc.assert(
      fc.property(damage, (damaged) => {
        fc.pre(damaged !== text && `${damaged}\n` !== text);
        expect(read(damaged).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('is not used if its checksum is valid but its content is not', () => {
    const wrong = [{ ...createCopy('orders', 1), instances: [{ ...sampleInstance(), state: 'FINE' }] }] as never;
    expect(read(written(wrong))).toEqual({ ok: false, problem: expect.stringContaining('unexpected content') });
    for (const fields of [{ epoch: 'x' }, { revision: -1 }, { heardAt: 'now' }] as object[]) {
      expect(read(written([createCopy('orders', 1, fields)])).ok).toBe(false);
    }
  });
});
