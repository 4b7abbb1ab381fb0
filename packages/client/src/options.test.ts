import { describe, expect, it } from 'vitest';
import { parseClientOptions } from './options.js';

describe('client options', () => {
  it('are all optional', () => {
    expect(parseClientOptions({})).toMatchObject({
      registry: 'http://127.0.0.1:1337',
      namespace: 'default',
      version: '',
      zone: '',
      weight: 100,
      metadata: {},
      heartbeatIntervalMs: 5_000,
    });
    expect(parseClientOptions({}).service).toBeUndefined();
    expect(parseClientOptions({}).calls.deadlineMs).toBe(5_000);
  });

  it('are frozen', () => {
    expect(Object.isFrozen(parseClientOptions({ metadata: { a: 'b' } }).metadata)).toBe(true);
  });

  it('name the nearest known option for an unknown one', () => {
    expect(() => parseClientOptions({ servcie: 'orders' })).toThrow('Did you mean service?');
    expect(() => parseClientOptions({ calls: { deadlineMS: 1 } })).toThrow('Did you mean calls.deadlineMs?');
  });

  it.each([
    ['registry', 'localhost:1337'],
    ['registry', 'ftp://registry'],
    ['registry', 'http://user:pass@registry'],
    ['registry', 'http://registry?x=1'],
    ['registry', 'http://registry:99999'],
    ['registry', []],
    ['registry', ['http://one', 'two']],
    ['registry', ['http://one', 'http://one']],
    ['registry', Array.from({ length: 17 }, (_, n) => `http://registry-${n}`)],
    ['registryOrder', 'nearest'],
    ['cache', ''],
    ['registryTls', { caFile: '' }],
    ['registryTls', { ca: 'ca.pem' }],
    ['registryTls', { caFile: '-----BEGIN CERTIFICATE-----' }],
    ['service', 'Orders'],
    ['service', '-orders'],
    ['namespace', ''],
    ['version', 'x'.repeat(65)],
    ['version', 'one\ntwo'],
    ['zone', 'EU'],
    ['weight', 1_001],
    ['weight', 0.5],
    ['metadata', { team: 7 }],
    ['metadata', JSON.parse('{"__proto__":"x"}')],
    ['advertiseHost', '10.0.0.5:3000'],
    ['advertiseHost', '127.1'],
    ['advertiseHost', ''],
    ['heartbeatIntervalMs', 0],
  ])('refuse %s: %j', (name, value) => {
    expect(() => parseClientOptions({ [name]: value })).toThrow(new RegExp(`Option ${name}`));
  });

  it('require a certificate for the registry and its key together', () => {
    const registryTls = { certFile: 'orders.pem' };
    expect(() => parseClientOptions({ registryTls })).toThrow('registryTls: cert is there without key');
  });

  it.each([
    ['registry', 'https://registry.internal/rollcall'],
    ['registry', 'http://[::1]:1337'],
    ['registry', ['http://one:1337', 'https://two/rollcall']],
    ['registryOrder', 'random'],
    ['cache', '/var/cache/rollcall'],
    ['registryTls', { caFile: 'ca.pem', certFile: 'orders.pem', keyFile: 'orders.key', serverName: 'registry' }],
    ['service', 'orders-2'],
    ['zone', 'eu-1a'],
    ['metadata', { team: '' }],
    ['advertiseHost', 'orders.internal'],
    ['advertiseHost', 'fd00::5'],
  ])('take %s: %j', (name, value) => {
    expect(parseClientOptions({ [name]: value })).toMatchObject({ [name]: value });
  });
});
