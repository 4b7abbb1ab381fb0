import { describe, expect, it } from 'vitest';
import { readSettings } from '../rollcall.module-definition.js';

const environment = { ROLLCALL_CA_FILE: 'ca.pem', ROLLCALL_CERT_FILE: 'orders.pem', ROLLCALL_KEY_FILE: 'orders.key' };

describe('TLS to the registry', () => {
  it('comes from the environment', () => {
    const { registryTls } = readSettings({}, environment).client;
    expect(registryTls).toMatchObject({ caFile: 'ca.pem', certFile: 'orders.pem', keyFile: 'orders.key' });
  });

  it('comes from the option alone if it is set', () => {
    const { registryTls } = readSettings({ registryTls: { caFile: 'other.pem' } }, environment).client;
    expect(registryTls).toMatchObject({ caFile: 'other.pem', certFile: undefined, keyFile: undefined });
  });

  it('is unset by default, and needs a certificate and its key', () => {
    const { registryTls } = readSettings({}, { ...environment, ROLLCALL_CERT_FILE: '', ROLLCALL_KEY_FILE: '' }).client;
    expect(registryTls).toMatchObject({ caFile: 'ca.pem', certFile: undefined });
    const partly = { ROLLCALL_CERT_FILE: 'orders.pem' };
    expect(() => readSettings({}, partly)).toThrow('registryTls: cert is there without key');
  });
});
