import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instancePatchMessage, isMetadata, overrideMessage, registryEventMessage } from './operator.js';

const pathsOf = (patch: unknown): readonly string[] => {
  const read = instancePatchMessage.parse(patch);
  return read.ok ? [] : read.problem.map(({ path }) => path);
};

describe('settings of an operator', () => {
  it.each([
    [{ admin: 'DRAINING' }],
    [{ weight: 0 }],
    [{ weight: null, metadata: null, untilMs: null }],
    [{ metadata: { lane: 'green', team: null } }],
    [{ metadata: {} }],
    [{ admin: 'MAINTENANCE', weight: 1_000, metadata: { a: '' }, reason: 'x'.repeat(200), untilMs: 1_790_000_000_000 }],
  ])('are parsed as sent: %j', (patch) => {
    expect(instancePatchMessage.parse(patch)).toEqual({ ok: true, value: patch });
  });

  it.each([
    ['without any setting', undefined, ''],
    ['nothing', {}, ''],
    ['a state', { state: 'HEALTHY' }, ''],
    ['an unknown admin state', { admin: null }, 'admin'],
    ['a fractional weight', { weight: 0.5 }, 'weight'],
    ['a list of metadata', { metadata: [] }, 'metadata'],
    ['metadata that is a number', { metadata: { a: 1 } }, 'metadata.a'],
    ['metadata that is undefined', { metadata: { a: undefined } }, 'metadata.a'],
    ['an unsafe key', { metadata: JSON.parse('{"__proto__":null}') }, 'metadata.__proto__'],
    ['a reason that is too long', { reason: 'x'.repeat(201) }, 'reason'],
    ['an end as text', { untilMs: '2026-01-01' }, 'untilMs'],
  ])('are refused if they are %s', (_, patch, path) => {
    expect(pathsOf(patch)).toEqual([path]);
  });

  it('may set any metadata that an instance may declare, or remove it', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.option(fc.string())), (metadata) => {
        const texts = Object.fromEntries(Object.entries(metadata).map(([key, text]) => [key, text ?? '']));
        const read = instancePatchMessage.parse({ metadata });
        expect(read.ok).toBe(isMetadata(texts));
        if (read.ok) expect(read.value.metadata).toEqual(metadata);
      }),
    );
  });
});

describe('an override and an event', () => {
  it('are each parsed by their own message', () => {
    const override = { admin: null, weight: 5, metadata: null, reason: '', since: 1_790_000_000_000, untilMs: null };
    expect(overrideMessage.parse(override)).toEqual({ ok: true, value: override });
    const event = {
      seq: 1,
      at: 1_790_000_000_000,
      kind: 'registry',
      namespace: null,
      service: null,
      instance: null,
      state: null,
      reason: null,
      revision: null,
      by: 'registry',
      text: 'the registry is ready',
    };
    expect(registryEventMessage.parse(event)).toEqual({ ok: true, value: event });
  });
});
