import { describe, expect, it } from 'vitest';
import { Networks } from './networks.js';

describe('allowed networks', () => {
  it.each([
    [['10.0.0.0/8'], '10.1.2.3', true],
    [['10.0.0.0/8'], '11.1.2.3', false],
    [['10.0.0.7'], '10.0.0.7', true],
    [['10.0.0.7'], '10.0.0.8', false],
    [['fd00::/8'], 'fd00::7', true],
    [['fd00::/8'], '10.0.0.7', false],
    [['0.0.0.0/0'], '10.1.2.3', true],
    [['0.0.0.0/0'], 'fd00::7', false],
    [['::/0'], 'fd00::7', true],
    [['::/0'], '10.1.2.3', false],
    [[], '10.1.2.3', false],
  ] as const)('%j include %s: %s', (allowed, address, answer) => {
    expect(new Networks(allowed).has(address)).toBe(answer);
  });

  it.each([
    ['127.0.0.1', '127.0.0.0/8'],
    ['::1', '::1/128'],
    ['169.254.169.254', '169.254.0.0/16'],
    ['fe80::1', 'fe80::/10'],
    ['100.100.100.200', '100.100.100.200/32'],
    ['168.63.129.16', '168.63.129.16/32'],
    ['fd00:ec2::254', 'fd00:ec2::254/128'],
    ['192.0.0.192', '192.0.0.0/24'],
    ['203.0.113.7', '203.0.113.0/25'],
    ['64:ff9b::a9fe:a9fe', '64:ff9b::/96'],
    ['2002:a9fe:a9fe::', '2002::/16'],
    ['::169.254.169.254', '::/96'],
  ])('do not include %s in a wide network, and include it in %s, which names it', (address, named) => {
    expect(new Networks(['0.0.0.0/0', '::/0']).has(address)).toBe(false);
    expect(new Networks(['0.0.0.0/0', '::/0', named]).has(address)).toBe(true);
  });

  it.each(['0.0.0.0', '0.1.2.3', '224.0.0.1', '255.255.255.255', '240.0.0.1', '::', 'ff02::1'])(
    'never include %s, which no host has',
    (address) => {
      expect(new Networks(['0.0.0.0/0', '::/0', address]).has(address)).toBe(false);
    },
  );

  it.each(['10.0.0.0/33', '::/129', 'ten', '10.0.0/8', '10.0.0.0/x'])('cannot contain %s', (text) => {
    expect(() => new Networks([text])).toThrow(RangeError);
  });
});
