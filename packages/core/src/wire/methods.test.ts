import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleInstance } from '../testing.js';
import {
  isMethodName,
  LONGEST_METHOD_NAME,
  methodNameOf,
  methodPolicyOf,
  METHODS,
  MAX_METHOD_BYTES,
  MAX_METHODS,
  routeNameOf,
  sizeOfMethods,
} from './methods.js';
import { instanceMessage, registrationMessage } from './protocol.js';

const registration = { id: 'orders-1', service: 'orders', endpoints: [{ protocol: 'tcp', port: 3001 }] };

function read(methods: unknown): unknown {
  const parsed = registrationMessage.parse({ ...registration, methods });
  return parsed.ok ? parsed.value.methods : parsed.problem.map(({ path }) => path);
}

function many(count: number): Record<string, object> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, {}]));
}

describe('the declared policies of an instance', () => {
  it('are read as declared, without unknown fields', () => {
    const methods = {
      find: { idempotent: true, timeoutMs: 250, hedge: { afterMs: 20 } },
      '{"cmd":"sum"}': { idempotent: false, hedge: true },
      'POST /orders': {},
    };
    const more = { ...methods, find: { ...methods.find, cached: true, hedge: { afterMs: 20, most: 2 } } };
    expect(read(more)).toEqual(methods);
  });

  it('are omitted if none is declared', () => {
    expect(registrationMessage.parse(registration)).toEqual({
      ok: true,
      value: expect.not.objectContaining({ methods: expect.anything() }),
    });
    const parsed = instanceMessage.parse(sampleInstance());
    expect(parsed.ok && Object.hasOwn(parsed.value, 'methods')).toBe(false);
  });

  it.each([
    [{ find: { idempotent: 'yes' } }, 'methods.find.idempotent'],
    [{ find: { timeoutMs: 0 } }, 'methods.find.timeoutMs'],
    [{ find: { timeoutMs: 3_600_001 } }, 'methods.find.timeoutMs'],
    [{ find: { hedge: { afterMs: 1.5 } } }, 'methods.find.hedge.afterMs'],
    [{ find: { hedge: 5 } }, 'methods.find.hedge'],
    [{ find: true }, 'methods.find'],
    [{ '': {} }, 'methods[""]'],
    [{ 'two\nlines': {} }, 'methods["two\\u{a}lines"]'],
    [{ constructor: {} }, 'methods.constructor'],
    [['find'], 'methods'],
    [many(MAX_METHODS + 1), 'methods'],
  ])('are rejected if invalid: %j', (methods, path) => {
    expect(read(methods)).toEqual([path]);
  });

  it('are limited in number, in length of names and in total size', () => {
    expect(read(many(MAX_METHODS))).toEqual(many(MAX_METHODS));
    expect(isMethodName('x'.repeat(LONGEST_METHOD_NAME))).toBe(true);
    expect(isMethodName('x'.repeat(LONGEST_METHOD_NAME + 1))).toBe(false);
    const long = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${i}${'ü'.repeat(200)}`, {}]));
    expect(sizeOfMethods(long)).toBeGreaterThan(MAX_METHOD_BYTES);
    expect(read(long)).toEqual(['methods']);
  });

  it('are parsed unchanged or rejected, and never exceed the limit', () => {
    const policy = fc.record(
      { idempotent: fc.boolean(), timeoutMs: fc.integer({ min: -1, max: 10_000 }), hedge: fc.boolean() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.dictionary(fc.string({ maxLength: 300 }), policy, { maxKeys: 30 }), (methods) => {
        const parsed = registrationMessage.parse({ ...registration, methods });
        if (!parsed.ok) return;
        expect(parsed.value.methods).toEqual(methods);
        expect(sizeOfMethods(parsed.value.methods ?? {})).toBeLessThanOrEqual(MAX_METHOD_BYTES);
      }),
    );
  });

  it('are described in plain text', () => {
    expect(METHODS.allowed).toContain('at most 256');
  });
});

describe('the policy of a method', () => {
  it('is the one declared for that name, and none for inherited property names', () => {
    const instance = sampleInstance({ methods: { find: { idempotent: true } } });
    expect(methodPolicyOf(instance, 'find')).toEqual({ idempotent: true });
    expect(methodPolicyOf(instance, 'toString')).toBeUndefined();
    expect(methodPolicyOf(sampleInstance(), 'find')).toBeUndefined();
  });
});

describe('the name of a pattern', () => {
  it('is the same for any order of an object’s keys', () => {
    expect(methodNameOf('find')).toBe('find');
    expect(methodNameOf({ role: 'math', cmd: { b: 1, a: 2 } })).toBe('{"cmd":{"a":2,"b":1},"role":"math"}');
    expect(methodNameOf({ cmd: { a: 2, b: 1 }, role: 'math' })).toBe('{"cmd":{"a":2,"b":1},"role":"math"}');
    expect(methodNameOf(7)).toBe('7');
  });
});

describe('the name of an HTTP request', () => {
  it.each([
    ['/orders/7?full=1', 'GET /orders'],
    ['/orders?x=/1', 'GET /orders'],
    ['/', 'GET /'],
    ['/?x=1', 'GET /'],
    ['/api/orders/7', 'GET /api/orders'],
    ['/api/v1/orders', 'GET /api/v1/orders'],
    ['/v2/api/orders/x/y', 'GET /v2/api/orders'],
    ['/api', 'GET /api'],
    ['/api/?x', 'GET /api/'],
    ['/apis/orders', 'GET /apis'],
    ['/vim/orders', 'GET /vim'],
  ])('for %s is %s', (path, name) => {
    expect(routeNameOf('GET', path)).toBe(name);
  });
});
