import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { isHost, isIpv4, isIpv6, isLoopback } from './host.js';

describe('isLoopback', () => {
  it.each(['localhost', '127.0.0.1', '127.255.0.3', '::1', '[::1]'])('accepts %s', (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  it.each(['127.example.com', '127.0.0.1.example.com', '128.0.0.1', '0.0.0.0', '::', ''])('rejects %j', (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});

describe('isHost', () => {
  it.each([
    '127.0.0.1',
    '10.0.0.5',
    '255.255.255.255',
    '0.0.0.0',
    '::',
    '::1',
    'fe80::1',
    '2001:db8::8a2e:370:7334',
    '1:2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8',
    '::ffff:192.0.2.1',
    '1:2:3:4:5:6:192.0.2.1',
    'localhost',
    'orders',
    'Orders-1.internal.example',
    'xn--bcher-kva.example',
    '3com.example',
    `${'a'.repeat(63)}.example`,
  ])('accepts %s', (host) => {
    expect(isHost(host)).toBe(true);
  });

  it.each([
    ['empty', ''],
    ['short IPv4', '127.1'],
    ['IPv4 as one number', '2130706433'],
    ['octal IPv4', '0177.0.0.1'],
    ['octal as one number', '017700000001'],
    ['hexadecimal IPv4', '0x7f.0.0.1'],
    ['hexadecimal as one number', '0x7f000001'],
    ['a hexadecimal last part', '127.0.0.0x1'],
    ['an empty hexadecimal last part', '127.0.0.0x'],
    ['leading zeros', '127.0.0.01'],
    ['a part above 255', '127.0.0.256'],
    ['five parts', '1.2.3.4.5'],
    ['a trailing dot', '127.0.0.1.'],
    ['a name with a trailing dot', 'localhost.'],
    ['a leading dot', '.localhost'],
    ['two dots', 'a..b'],
    ['an underscore', 'my_app'],
    ['a leading hyphen', '-a'],
    ['a trailing hyphen', 'a-.b'],
    ['a label of 64', `${'a'.repeat(64)}.example`],
    ['254 characters', `${'a.'.repeat(126)}aa`],
    ['a port', 'localhost:3000'],
    ['brackets', '[::1]'],
    ['a zone', 'fe80::1%eth0'],
    ['two runs of zeros', '1::2::3'],
    ['three colons', ':::'],
    ['nine groups', '1:2:3:4:5:6:7:8:9'],
    ['seven groups', '1:2:3:4:5:6:7'],
    ['eight groups and a run', '1:2:3:4::5:6:7:8'],
    ['a long group', '12345::'],
    ['an IPv4 address before the end', '1.2.3.4::'],
    ['an octal IPv4 address in it', '::ffff:0177.0.0.1'],
    ['too much with IPv4', '1:2:3:4:5:6:7:192.0.2.1'],
    ['a single colon at an end', ':1:2:3:4:5:6:7'],
    ['a URL', 'http://a'],
    ['a path', 'a/b'],
    ['credentials', 'user@a'],
    ['a space', 'a b'],
    ['full-width digits', '１２７.0.0.1'],
    ['an NUL', 'a\0'],
    ['a line break at the end', '127.0.0.1\n'],
  ])('rejects %s', (_what, host) => {
    expect(isHost(host)).toBe(false);
  });

  it('accepts an IPv4 address exactly if each of its four parts is a number in canonical form', () => {
    const byte = fc.oneof(fc.nat(300).map(String), fc.constantFrom('01', '', '0', '0x1', '1e1', '+1', ' 1'));
    fc.assert(
      fc.property(fc.array(byte, { minLength: 3, maxLength: 5 }), (parts) => {
        const right = parts.length === 4 && parts.every((each) => String(Number(each)) === each && Number(each) <= 255);
        expect(isIpv4(parts.join('.'))).toBe(right);
      }),
    );
  });

  it('agrees with the URL parser on IPv6 addresses', () => {
    const group = fc.constantFrom('', '0', '1', 'ff', 'FFFF', '12345', 'g', '1.2.3.4', '01.2.3.4');
    const text = fc.array(group, { minLength: 1, maxLength: 10 }).map((groups) => groups.join(':'));
    fc.assert(
      fc.property(text, (each) => {
        expect(isIpv6(each)).toBe(URL.canParse(`http://[${each}]/`));
      }),
      { numRuns: 2_000 },
    );
  });

  it('decides at once for a text of a megabyte', () => {
    for (const unit of ['a', '1.', ':', '0:', 'a-']) expect(isHost(unit.repeat(500_000))).toBe(false);
  });
});
