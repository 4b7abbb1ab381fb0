import type { AnnouncedEndpoint } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { Admission } from './admission.js';

const OWN_PORT = 1337;

/** What a registration from `peer` comes to: its addresses as they are called, or why it is refused. */
async function admitted(
  peer: string,
  endpoints: readonly Partial<AnnouncedEndpoint>[],
  allowedNetworks: readonly string[] = [],
): Promise<string> {
  const names = new Map([['db.local', '10.0.0.9']]);
  const resolve = async (host: string): Promise<string> => {
    const address = names.get(host);
    if (address === undefined) throw new Error('ENOTFOUND');
    return address;
  };
  const admission = new Admission({ resolve, allowedNetworks, ownPort: () => OWN_PORT });
  const announced = endpoints.map((endpoint) => ({ protocol: 'tcp' as const, port: 3000, ...endpoint }));
  const result = await admission.admit({ id: 'a-1', service: 'a', endpoints: announced }, peer);
  if (result.ok) return result.value.targets.map(({ host, port }) => `${host} ${port}`).join(', ');
  const { code, detail, flaws } = result.problem;
  return `${code} ${flaws?.[0]?.path} ${detail}`;
}

describe('the admission of an address', () => {
  it.each([
    ['the address of the peer, where none is named', '10.0.0.5', {}, '10.0.0.5 3000'],
    ['the address of the peer', '10.0.0.5', { host: '10.0.0.5' }, '10.0.0.5 3000'],
    ['it in the IPv6 form of an IPv4 address', '10.0.0.5', { host: '::ffff:10.0.0.5' }, '10.0.0.5 3000'],
    ['it in hexadecimal', '10.0.0.5', { host: '::FFFF:a00:5' }, '10.0.0.5 3000'],
    ['an IPv6 address, however it is written', '2001:db8::5', { host: '2001:DB8:0:0::5' }, '2001:db8::5 3000'],
    ['any loopback address from this machine', '127.0.0.1', { host: '::1' }, '::1 3000'],
    ['a name of the peer', '10.0.0.9', { host: 'db.local' }, '10.0.0.9 3000'],
  ])('takes %s', async (_what, peer, endpoint, called) => {
    expect(await admitted(peer, [endpoint])).toBe(called);
  });

  it.each([
    ['another address', '10.0.0.5', { host: '10.0.0.6' }],
    ['the metadata service of a cloud', '10.0.0.5', { host: '169.254.169.254' }],
    ['that in the IPv6 form', '10.0.0.5', { host: '::ffff:169.254.169.254' }],
    ['loopback, from elsewhere', '10.0.0.5', { host: '127.0.0.1' }],
    ['no address at all', '127.0.0.1', { host: '0.0.0.0' }],
    ['a name of somebody else', '10.0.0.5', { host: 'db.local' }],
    ['a name of nobody', '10.0.0.5', { host: 'nobody.local' }],
    ['an address of one link only, which no caller elsewhere could use', 'fe80::1%eth0', {}],
  ])('refuses %s', async (_what, peer, endpoint) => {
    expect(await admitted(peer, [endpoint])).toMatch(/^ADDRESS_NOT_ALLOWED endpoints\[0\]\.host /);
  });

  it('takes an address in a network that is allowed, in whichever form, and no other', async () => {
    expect(await admitted('10.0.0.5', [{ host: '10.1.0.1' }], ['10.1.0.0/16'])).toBe('10.1.0.1 3000');
    expect(await admitted('10.0.0.5', [{ host: '::ffff:10.1.0.1' }], ['10.1.0.0/16'])).toBe('10.1.0.1 3000');
    expect(await admitted('10.0.0.5', [{ host: '10.2.0.1' }], ['10.1.0.0/16'])).toContain('ADDRESS_NOT_ALLOWED');
  });

  it('never takes its own port: not of the peer, and not in a network that is allowed', async () => {
    expect(await admitted('10.0.0.5', [{ port: OWN_PORT }])).toContain("the registry's own port");
    const inNetwork = await admitted('10.0.0.5', [{ host: '10.1.0.1', port: OWN_PORT }], ['10.1.0.0/16']);
    expect(inNetwork).toContain("the registry's own port");
  });

  it('takes no endpoint twice, also where one of them leaves its host out', async () => {
    expect(await admitted('10.0.0.5', [{}, { host: '10.0.0.5' }])).toMatch(/^INVALID endpoints\[1\] /);
    expect(await admitted('10.0.0.5', [{}, { port: 3001 }])).toBe('10.0.0.5 3000, 10.0.0.5 3001');
  });
});
