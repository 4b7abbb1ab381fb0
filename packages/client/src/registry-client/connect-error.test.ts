import { RollcallError } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { RegistryConnectError, connectErrorIn, troubleOf } from './connect-error.js';

const failed = (code: string, message = code, fields: object = {}): Error =>
  Object.assign(new Error(message), { code, ...fields });

const SECURE = { isSecure: true, wasReached: false, isShown: false };
const CLEAR = { ...SECURE, isSecure: false };

describe('the meaning of a connection error', () => {
  it.each([
    ['an unknown CA', failed('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), /no CA that is trusted.*ROLLCALL_CA_FILE/],
    ['a self-signed certificate', failed('DEPTH_ZERO_SELF_SIGNED_CERT'), /no CA that is trusted.*--ca-file/],
    ['an expired certificate', failed('CERT_HAS_EXPIRED'), /has expired.*Replace it/],
    [
      'a certificate for another name',
      failed('ERR_TLS_CERT_ALTNAME_INVALID', '', { reason: 'IP: 10.0.0.1 is not' }),
      /IP: 10\.0\.0\.1 is not.*serverName/,
    ],
    [
      'no client certificate, TLS 1.3',
      failed('ERR_SSL_X', 'x:tlsv13 alert certificate required:y'),
      /none was shown.*ROLLCALL_CERT_FILE/,
    ],
    [
      'no client certificate, TLS 1.2',
      failed('EPROTO', 'x:sslv3 alert handshake failure:y'),
      /asks for a client certificate/,
    ],
    [
      'a client certificate of an unknown CA',
      failed('ERR_SSL_X', 'x:tlsv1 alert unknown ca:y'),
      /refuses our certificate.*--tls-ca/,
    ],
    ['an expired client certificate', failed('ERR_SSL_X', 'x:sslv3 alert certificate expired:y'), /ours? .*expired/],
    ['a registry without TLS', failed('EPROTO', 'x:wrong version number:y'), /speaks no TLS.*http:\/\//],
    [
      'a connection that ends in the handshake',
      failed('ECONNRESET', 'socket hang up'),
      /asks for a client certificate/,
    ],
  ])('over TLS: %s', (_, error, expectedText) => {
    const connectError = troubleOf(error, SECURE);
    expect(connectError?.message).toMatch(expectedText);
    expect(connectError?.cause).toBe(error);
  });

  it('names the presented certificate as a possible cause if the connection ends in the handshake', () => {
    expect(troubleOf(failed('ECONNRESET'), { ...SECURE, isShown: true })?.message).toMatch(/reject our certificate/);
    const refused = failed('EPROTO', 'sslv3 alert handshake failure');
    expect(troubleOf(refused, { ...SECURE, isShown: true })?.message).toMatch(/refuses our certificate/);
  });

  it('without TLS: detects a registry with TLS', () => {
    const alert = failed('HPE_INVALID_CONSTANT', 'Parse Error', { rawPacket: Uint8Array.of(0x15, 3, 1) });
    expect(troubleOf(alert, CLEAR)?.message).toMatch(/speaks TLS.*https:\/\//);
    for (const code of ['ECONNRESET', 'UND_ERR_SOCKET'])
      expect(troubleOf(failed(code), CLEAR)?.message).toMatch(/If it speaks TLS.*https:\/\//);
  });

  it('adds nothing for a registry that has answered before, or if no process listens', () => {
    for (const facts of [SECURE, CLEAR]) {
      expect(troubleOf(failed('ECONNRESET'), { ...facts, wasReached: true })).toBeNull();
      expect(troubleOf(failed('ECONNREFUSED'), facts)).toBeNull();
      expect(troubleOf('no error', facts)).toBeNull();
    }
    expect(troubleOf(failed('CERT_HAS_EXPIRED'), { ...SECURE, wasReached: true })).not.toBeNull();
  });

  it('is found in the error that a client throws', () => {
    const connectError = new RegistryConnectError('it speaks TLS');
    expect(connectErrorIn(new RollcallError('REGISTRY_UNREACHABLE', 'No answer', { cause: connectError }))).toBe(
      connectError,
    );
    expect(connectErrorIn(connectError)).toBe(connectError);
    expect(connectErrorIn(new Error('other', { cause: new Error('x') }))).toBeNull();
    expect(connectErrorIn('words')).toBeNull();
  });
});
