import { isRollcallError } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { tlsOf } from './up-tls.js';
import type { TlsFlags } from './up-tls.js';

const none: TlsFlags = {
  '--tls-cert': undefined,
  '--tls-key': undefined,
  '--tls-ca': undefined,
  '--tls-crl': undefined,
  '--tls-client': [],
  '--services-ca': undefined,
};
const pair = { '--tls-cert': '/tls/a.pem', '--tls-key': '/tls/a.key' };

describe('tlsOf', () => {
  it('returns nothing by default', () => {
    expect(tlsOf(none)).toEqual({});
  });

  it('resolves files', () => {
    const all = { ...pair, '--tls-ca': '/tls/ca.pem', '--tls-crl': '/tls/crl.pem', '--services-ca': '/tls/s.pem' };
    expect(tlsOf({ ...none, ...all })).toEqual({
      tls: {
        certFile: '/tls/a.pem',
        keyFile: '/tls/a.key',
        caFile: '/tls/ca.pem',
        crlFile: '/tls/crl.pem',
        certificates: [],
      },
      heartbeatTls: { caFile: '/tls/s.pem' },
    });
  });

  it('parses rules for certificates', () => {
    const rules = [
      'DNS:*.prod.internal=service:orders,pay-*',
      'URI:spiffe://prod/board?a=b=reader',
      'DNS:ops.prod.internal=operator',
    ];
    expect(tlsOf({ ...none, ...pair, '--tls-client': rules }).tls?.certificates).toEqual([
      { san: 'DNS:*.prod.internal', role: 'service', services: ['orders', 'pay-*'] },
      { san: 'URI:spiffe://prod/board?a=b', role: 'reader', services: [] },
      { san: 'DNS:ops.prod.internal', role: 'operator', services: [] },
    ]);
  });

  it.each([
    [{ '--tls-key': 'a' }, '--tls-cert is missing'],
    [{ '--tls-cert': 'a' }, '--tls-key is missing'],
    [{ '--tls-ca': 'a' }, '--tls-cert is missing'],
    [{ ...pair, '--tls-client': ['DNS:a=admin'] }, '<san>=operator'],
  ])('refuses %j', (flags, text) => {
    const refusal = (): string => {
      try {
        return JSON.stringify(tlsOf({ ...none, ...flags }));
      } catch (error) {
        return isRollcallError(error) ? error.message : 'another error';
      }
    };
    expect(refusal()).toContain(text);
  });
});
