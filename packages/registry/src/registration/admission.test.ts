import type { AnnouncedEndpoint } from '@rollcall/core';
import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { LimitRefusals } from '../access/refusals.js';
import { Admission } from './admission.js';
import type { AdmissionPorts } from './admission.js';
import { LOOKUP_MS } from './dns.js';

const OWN_PORT = 1337;
const PEER = '10.0.0.5';

function portsOf(time: ManualTime): AdmissionPorts {
  return { time, refusals: new LimitRefusals({ time, log: recordingLog() }) };
}

/** The result of a registration from `peer`: its addresses as they are called, or why it is refused. */
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
  const admission = new Admission({ resolve, allowedNetworks, ownPort: () => OWN_PORT }, portsOf(new ManualTime()));
  const announced = endpoints.map((endpoint) => ({ protocol: 'tcp' as const, port: 3000, ...endpoint }));
  const result = await admission.admit({ id: 'a-1', service: 'a', endpoints: announced }, peer);
  if (result.ok) return result.value.targets.map(({ host, port }) => `${host} ${port}`).join(', ');
  const { code, detail, flaws } = result.problem;
  return `${code} ${flaws?.[0]?.path} ${detail}`;
}

describe('the admission of an address', () => {
  it.each([
    ['the address of the peer if none is given', '10.0.0.5', {}, '10.0.0.5 3000'],
    ['the address of the peer', '10.0.0.5', { host: '10.0.0.5' }, '10.0.0.5 3000'],
    ['that in the IPv6 form of an IPv4 address', '10.0.0.5', { host: '::ffff:10.0.0.5' }, '10.0.0.5 3000'],
    ['that in hexadecimal', '10.0.0.5', { host: '::FFFF:a00:5' }, '10.0.0.5 3000'],
    ['an IPv6 address in any notation', '2001:db8::5', { host: '2001:DB8:0:0::5' }, '2001:db8::5 3000'],
    ['any loopback address from this machine', '127.0.0.1', { host: '::1' }, '::1 3000'],
    ['a name of the peer', '10.0.0.9', { host: 'db.local' }, '10.0.0.9 3000'],
  ])('accepts %s', async (_what, peer, endpoint, called) => {
    expect(await admitted(peer, [endpoint])).toBe(called);
  });

  it.each([
    ['another address', '10.0.0.5', { host: '10.0.0.6' }],
    ['the metadata service of a cloud', '10.0.0.5', { host: '169.254.169.254' }],
    ['that in the IPv6 form', '10.0.0.5', { host: '::ffff:169.254.169.254' }],
    ['loopback, from elsewhere', '10.0.0.5', { host: '127.0.0.1' }],
    ['no address at all', '127.0.0.1', { host: '0.0.0.0' }],
    ['a name of another host', '10.0.0.5', { host: 'db.local' }],
    ['an unknown name', '10.0.0.5', { host: 'unknown.local' }],
    ['an address of one link only, which no caller elsewhere could use', 'fe80::1%eth0', {}],
  ])('refuses %s', async (_what, peer, endpoint) => {
    expect(await admitted(peer, [endpoint])).toMatch(/^ADDRESS_NOT_ALLOWED endpoints\[0\]\.host /);
  });

  it('accepts an address in an allowed network, in any notation, and no other', async () => {
    expect(await admitted('10.0.0.5', [{ host: '10.1.0.1' }], ['10.1.0.0/16'])).toBe('10.1.0.1 3000');
    expect(await admitted('10.0.0.5', [{ host: '::ffff:10.1.0.1' }], ['10.1.0.0/16'])).toBe('10.1.0.1 3000');
    expect(await admitted('10.0.0.5', [{ host: '10.2.0.1' }], ['10.1.0.0/16'])).toContain('ADDRESS_NOT_ALLOWED');
  });

  it('rejects the port of the registry, at the address of the peer and in an allowed network', async () => {
    expect(await admitted('10.0.0.5', [{ port: OWN_PORT }])).toContain("the registry's own port");
    const inNetwork = await admitted('10.0.0.5', [{ host: '10.1.0.1', port: OWN_PORT }], ['10.1.0.0/16']);
    expect(inNetwork).toContain("the registry's own port");
  });

  it('accepts no endpoint twice, even if one of them omits its host', async () => {
    expect(await admitted('10.0.0.5', [{}, { host: '10.0.0.5' }])).toMatch(/^INVALID endpoints\[1\] /);
    expect(await admitted('10.0.0.5', [{}, { port: 3001 }])).toBe('10.0.0.5 3000, 10.0.0.5 3001');
  });

  it('takes at most 2 s for any number of unanswered names, and then asks to try again', async () => {
    const { time, lookedUp, admit } = createSlowResolver();
    const outcome = admit(Array.from({ length: 16 }, (_, index) => `slow-${index}.local`));
    await time.advanceBy(LOOKUP_MS - 1);
    expect(lookedUp).toEqual(['slow-0.local', 'slow-1.local']);
    await time.advanceBy(1);
    expect(await outcome).toBe('TOO_MANY after 1000 ms slow-0.local did not resolve to an address within 2000 ms.');
  });

  it('uses a late answer for the next attempt', async () => {
    const { time, lookedUp, admit, answer } = createSlowResolver();
    const outcome = admit(['slow.local']);
    await time.advanceBy(LOOKUP_MS);
    expect(await outcome).toMatch(/^TOO_MANY/);
    answer('10.0.0.5');
    await time.advanceBy(1_000);
    expect(await admit(['slow.local'])).toBe('10.0.0.5');
    expect(lookedUp).toEqual(['slow.local']);
  });

  it('refuses the names of a source that waits for too many, and of no other', async () => {
    const { admit, answer } = createSlowResolver();
    const many = Array.from({ length: 40 }, (_, index) => admit([`slow-${index}.local`]));
    expect(new Set(await Promise.all(many.slice(32)))).toEqual(
      new Set([
        'TOO_MANY after 1000 ms 32 host names are being looked up for 10.0.0.5, and at most 32 may be looked up at one time.',
      ]),
    );
    const other = admit(['another.local'], '10.0.0.6');
    answer('10.0.0.5');
    await Promise.all(many.slice(0, 2));
    answer('10.0.0.6');
    expect(await other).toBe('10.0.0.6');
  });

  it('leaves no timer', async () => {
    const { time, admit, answer } = createSlowResolver();
    const outcome = admit(['a.local']);
    answer('10.0.0.5');
    expect(await outcome).toBe('10.0.0.5');
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});

/** An admission whose lookups wait until `answer` answers all of them. */
function createSlowResolver(): {
  readonly time: ManualTime;
  readonly lookedUp: readonly string[];
  readonly admit: (hosts: readonly string[], peer?: string) => Promise<string>;
  readonly answer: (address: string) => void;
} {
  const time = new ManualTime();
  const lookedUp: string[] = [];
  let open: ((address: string) => void)[] = [];
  const resolve = (host: string): Promise<string> => {
    lookedUp.push(host);
    return new Promise((answered) => open.push(answered));
  };
  const admission = new Admission({ resolve, allowedNetworks: ['10.0.0.0/8'], ownPort: () => OWN_PORT }, portsOf(time));
  const admit = async (hosts: readonly string[], peer: string = PEER): Promise<string> => {
    const endpoints = hosts.map((host) => ({ protocol: 'tcp' as const, port: 3000, host }));
    const result = await admission.admit({ id: 'a-1', service: 'a', endpoints }, peer);
    if (result.ok) return result.value.targets.map(({ host }) => host).join();
    const { code, detail, retryAfterMs } = result.problem;
    return `${code} after ${retryAfterMs} ms ${detail}`;
  };
  const answer = (address: string): void => {
    for (const answered of open.splice(0)) answered(address);
  };
  return { time, lookedUp, admit, answer };
}
