import type { Role } from '@rollcall/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mayServe, PERMISSIONS, permissionOf, refusalOf, SERVICE_PATTERN } from './permissions.js';
import type { Grant } from './permissions.js';

const grant = (role: Role, services: readonly string[] = []): Grant => ({ id: '0123456789', role, services });
const TOKENS = { tokens: true, certificates: false } as const;
const service = (...services: readonly string[]): Grant => grant('service', services);

describe('the services of a token', () => {
  it.each([
    ['orders', 'default', 'orders', true],
    ['orders', 'default', 'orders-2', false],
    ['orders', 'shop', 'orders', false],
    ['pay-*', 'default', 'pay-cards', true],
    ['pay-*', 'default', 'pay-', true],
    ['pay-*', 'default', 'pay', false],
    ['pay-*', 'default', 'repay-cards', false],
    ['*', 'default', 'anything', true],
    ['*', 'shop', 'anything', false],
    ['shop/*', 'shop', 'anything', true],
    ['shop/*', 'default', 'anything', false],
    ['*/orders', 'shop', 'orders', true],
    ['*/orders', 'default', 'orders', true],
    ['*/orders', 'shop', 'users', false],
    ['*/*', 'shop', 'users', true],
  ])('with the pattern %s include, in namespace %s, the name %s: %s', (pattern, namespace, name, expected) => {
    expect(SERVICE_PATTERN.test(pattern)).toBe(true);
    expect(mayServe(service('other', pattern), namespace, name)).toBe(expected);
  });

  it.each(['', '/', 'a/', '/a', 'a/b/c', '**', '*a', 'a*b', 'Orders', 'or ders', 'a-/b', '-a', 'a/*b', '../a', 'a\n'])(
    'cannot be %j',
    (pattern) => {
      expect(SERVICE_PATTERN.test(pattern)).toBe(false);
    },
  );

  it('apply only to a token of the role service', () => {
    expect(mayServe(grant('operator', ['*']), 'default', 'orders')).toBe(false);
    expect(mayServe(service(), 'default', 'orders')).toBe(false);
  });

  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);

  it('match only themselves if they are whole names', () => {
    fc.assert(
      fc.property(label, label, label, (name, other, namespace) => {
        const token = service(`${namespace}/${name}`);
        expect(mayServe(token, namespace, name)).toBe(true);
        expect(mayServe(token, namespace, other)).toBe(other === name);
        expect(mayServe(token, `${namespace}x`, name)).toBe(false);
      }),
    );
  });
});

describe('the permission table', () => {
  it('has each route once', () => {
    const routes = PERMISSIONS.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(routes).size).toBe(routes.length);
  });

  it('permits a HEAD like its GET, and no unlisted route', () => {
    expect(permissionOf('HEAD', '/api/v1/services')).toBe(permissionOf('GET', '/api/v1/services'));
    expect(permissionOf('PUT', '/api/v1/services')).toBeNull();
    expect(permissionOf('GET', '/api/v1/secrets')).toBeNull();
  });

  it('lets only an operator change instances of others, and no reader change anything', () => {
    for (const { method, who, acts } of PERMISSIONS) {
      if (method !== 'GET') expect(who).not.toContain('reader');
      if (acts) expect(who).not.toContain('anyone');
    }
    expect(permissionOf('PATCH', '/api/v1/instances/:id')?.who).toEqual(['operator']);
  });

  it('names the required role if the role of the token is not sufficient', () => {
    const remove = permissionOf('DELETE', '/api/v1/instances/:id')!;
    expect(refusalOf(remove, { kind: 'valid', grant: grant('reader') }, TOKENS)).toMatchObject({
      code: 'FORBIDDEN',
      detail: 'Token 0123456789 has the role reader, which may not DELETE /api/v1/instances/:id.',
      fix: 'Use a token made with --role operator: rollcall token create.',
    });
    const beat = permissionOf('POST', '/api/v1/instances/:id/heartbeat')!;
    expect(refusalOf(beat, { kind: 'valid', grant: grant('operator') }, TOKENS)).toMatchObject({
      code: 'FORBIDDEN',
      fix: expect.stringContaining('secret of the instance'),
    });
  });

  it('distinguishes an untrusted certificate from a wrong token or secret', () => {
    const distrusted = {
      kind: 'untrusted',
      id: 'cert:0',
      detail: 'Certificate cert:0 is not trusted.',
      fix: '',
    } as const;
    for (const path of ['/api/v1/register', '/api/v1/instances/:id/heartbeat']) {
      expect(refusalOf(permissionOf('POST', path)!, distrusted, TOKENS)?.code).toBe('CERTIFICATE_UNTRUSTED');
    }
  });

  it('reports why a token is not valid', () => {
    const read = permissionOf('GET', '/api/v1/services')!;
    const details = (['expired', 'revoked'] as const).map(
      (kind) => refusalOf(read, { kind, grant: grant('reader') }, TOKENS)?.detail,
    );
    expect(details).toEqual(['Token 0123456789 has expired.', 'Token 0123456789 was revoked.']);
    expect(refusalOf(read, { kind: 'none' }, TOKENS)).toMatchObject({
      code: 'UNAUTHORIZED',
      fix: expect.stringContaining('ROLLCALL_TOKEN'),
    });
  });
});
