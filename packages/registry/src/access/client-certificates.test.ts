import { describe, expect, it } from 'vitest';
import { clientCertificate, EXPIRED, expiryOf, SAN_PATTERN, sansOf, untrusted } from './client-certificates.js';
import type { CertificateRule } from './client-certificates.js';

const read = (subjectAltName: string | undefined) => ({
  fingerprint256: 'AB:CD:EF:01:23:45:67:89:AA:BB',
  subjectAltName,
  validTo: 'Nov 26 17:48:35 2026 GMT',
});
const worthOf = (names: string | undefined, ...rules: readonly CertificateRule[]) =>
  clientCertificate(read(names), rules).worth;
const grantOf = (names: string | undefined, ...rules: readonly CertificateRule[]) => {
  const worth = worthOf(names, ...rules);
  return worth.kind === 'valid' ? { role: worth.grant.role, services: worth.grant.services } : worth.detail;
};

describe('a client certificate', () => {
  it('is identified by its fingerprint, and has its own expiry', () => {
    expect(clientCertificate(read('URI:rollcall:reader'), [])).toMatchObject({
      id: 'cert:abcdef0123456789',
      expiresAt: Date.UTC(2026, 10, 26, 17, 48, 35),
      worth: { kind: 'valid', grant: { id: 'cert:abcdef0123456789', role: 'reader', services: [] } },
    });
  });

  it('counts as expired if its expiry date cannot be read', () => {
    expect(expiryOf({ validTo: 'soon' })).toBe(-Infinity);
  });

  it.each([
    ['URI:rollcall:service:orders', { role: 'service', services: ['orders'] }],
    [
      'DNS:a, URI:rollcall:service:orders, URI:rollcall:service:shop/*',
      { role: 'service', services: ['orders', 'shop/*'] },
    ],
    ['URI:rollcall:reader', { role: 'reader', services: [] }],
    ['URI:rollcall:operator', { role: 'operator', services: [] }],
    ['URI:rollcall:reader, URI:rollcall:operator', { role: 'operator', services: [] }],
    ['URI:rollcall:service:orders, URI:rollcall:reader', { role: 'service', services: ['orders'] }],
  ])('with the names %s grants %j', (names, grant) => {
    expect(grantOf(names)).toEqual(grant);
  });

  it.each([
    [undefined, 'no subject alternative names'],
    ['', 'no subject alternative names'],
    ['DNS:orders.prod.internal, IP Address:10.0.0.1', 'DNS:orders.prod.internal, IP Address:10.0.0.1'],
    ['DNS:rollcall:operator', 'DNS:rollcall:operator'],
    ['URI:rollcall:operator:x', 'URI:rollcall:operator:x'],
    ['URI:rollcall:service:', 'URI:rollcall:service:'],
    ['URI:rollcall:service:*orders', 'URI:rollcall:service:*orders'],
    ['URI:ROLLCALL:OPERATOR', 'URI:ROLLCALL:OPERATOR'],
    // one name with a comma in it, as Node writes it
    [
      String.raw`URI:"rollcall:service:a, URI:rollcall:operator"`,
      String.raw`"rollcall:service:a, URI:rollcall:operator"`,
    ],
    [String.raw`DNS:"x\", URI:rollcall:operator"`, 'DNS:"x'],
  ])('has no identity with %j, and the refusal shows the names', (names, seen) => {
    const worth = worthOf(names);
    expect(worth.kind).toBe('nameless');
    expect(worth).toMatchObject({
      detail: expect.stringContaining(seen),
      fix: expect.stringContaining('tls.certificates'),
    });
  });

  it('cannot be for a service and for an operator at once', () => {
    expect(grantOf('URI:rollcall:service:orders, URI:rollcall:operator')).toContain(
      'for a service and for an operator',
    );
  });

  it('shows only a short, printable part of foreign names', () => {
    const names = Array.from({ length: 40 }, (_, at) => `DNS:${'é'.repeat(500)}${at}`).join(', ');
    const worth = worthOf(names);
    const detail = worth.kind === 'nameless' ? worth.detail : '';
    expect(detail).toMatch(/^[\x20-\x7e]{1,1300}$/);
    expect(detail).toContain('and 32 more');
  });
});

const orders = (san: string): CertificateRule => ({ san, role: 'service', services: ['orders'] });

describe('a rule for certificates of an existing PKI', () => {
  it.each([
    ['DNS:orders.prod.internal', 'DNS:orders.prod.internal', true],
    ['DNS:orders.prod.internal', 'DNS:Orders.Prod.INTERNAL', true],
    ['DNS:orders.prod.internal', 'DNS:x.orders.prod.internal', false],
    ['DNS:orders.prod.internal', 'URI:orders.prod.internal', false],
    ['DNS:*.prod.internal', 'DNS:orders.prod.internal', true],
    ['DNS:*.prod.internal', 'DNS:a.b.prod.internal', false],
    ['DNS:*.prod.internal', 'DNS:prod.internal', false],
    ['DNS:*.prod.internal', 'DNS:*.prod.internal', false],
    ['DNS:*.prod.internal', 'DNS:evilprod.internal', false],
    ['URI:spiffe://prod/orders', 'URI:spiffe://prod/orders', true],
    ['URI:spiffe://prod/orders', 'URI:spiffe://prod/orders/x', false],
    ['URI:spiffe://prod/orders', 'URI:spiffe://PROD/orders', false],
  ])('matches %s by %s: %s', (san, name, isMeant) => {
    expect(worthOf(`DNS:other, ${name}`, orders(san)).kind).toBe(isMeant ? 'valid' : 'nameless');
  });

  it('adds to the grants of the certificate itself', () => {
    const rules = [orders('DNS:a'), { san: 'DNS:a', role: 'service', services: ['pay-*'] } as const];
    expect(grantOf('DNS:a, URI:rollcall:service:mail', ...rules)).toEqual({
      role: 'service',
      services: ['mail', 'orders', 'pay-*'],
    });
    expect(grantOf('DNS:a', { san: 'DNS:a', role: 'operator' })).toEqual({ role: 'operator', services: [] });
  });

  it.each(['DNS:a', 'DNS:*.a.b', 'URI:spiffe://a/b?c', 'URI:rollcall:reader'])('may be %s', (san) => {
    expect(SAN_PATTERN.test(san)).toBe(true);
  });

  it.each(['a.b', 'DNS:', 'DNS:*', 'DNS:a.*.b', 'URI:', 'URI:spiffe://*', 'email:a@b', 'DNS:a, DNS:b'])(
    'may not be %s',
    (san) => expect(SAN_PATTERN.test(san)).toBe(false),
  );
});

describe('the subject alternative names as text of Node', () => {
  it('are parsed completely, or yield no names', () => {
    expect(sansOf('DNS:a, URI:b:c, IP Address:::1')).toEqual(['DNS:a', 'URI:b:c', 'IP Address:::1']);
    expect(sansOf('DNS:a, nonsense')).toEqual([]);
    expect(sansOf('DNS:a,URI:rollcall:operator')).toEqual([]);
    expect(sansOf('DNS:"a')).toEqual([]);
  });
});

describe('a certificate that is not trusted', () => {
  it.each([
    [EXPIRED, 'it has expired'],
    ['CERT_REVOKED', 'it was revoked'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'it is self-signed'],
    ['CRL_HAS_EXPIRED', 'out of date'],
    ['SOMETHING_NEW', 'could not be verified (SOMETHING_NEW)'],
  ])('is refused with the cause and the fix: %s', (code, why) => {
    const { detail, fix } = untrusted('cert:0', code);
    expect(detail).toContain(why);
    expect(fix.length).toBeGreaterThan(20);
  });
});
