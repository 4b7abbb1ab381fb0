import { DEFAULT_POLICY, noMeter, systemRandom, systemTime } from '@rollcall/core';
import type { Endpoint } from '@rollcall/core';
import { recordingLog } from '@rollcall/core/testing';
import { DEFAULT_LIMITS, MemoryStore, Registry } from '@rollcall/registry';
import { serveRegistry } from '@rollcall/registry/http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { POLL, Stage } from './stage.fixture.js';

/**
 * SSRF through Heartbeat-1: the registry connects to the registered address, so it refuses every notation for another
 * address than that of the client. Each form is sent over a real socket; the peer address is set to 10.0.0.5, since a
 * test has no other machine, and the registry's connections are recorded instead of made.
 */

const PEER = '10.0.0.5';
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

interface Terms {
  readonly allowedNetworks?: readonly string[];
  /** The answers of the resolver for a name, one per query; the last one stays. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
}

async function place({ allowedNetworks = [], names = {} }: Terms = {}) {
  const called: Endpoint[] = [];
  const asked: string[] = [];
  const caller = {
    protocol: 'tcp' as const,
    call: async (endpoint: Endpoint) => {
      called.push(endpoint);
      return { kind: 'failed' as const, text: 'no answer', ms: 1 };
    },
    close() {},
  };
  const resolve = async (host: string): Promise<string> => {
    asked.push(host);
    const answers = names[host] ?? [];
    const answer = answers[Math.min(asked.filter((name) => name === host).length, answers.length) - 1];
    if (answer === undefined) throw new Error('ENOTFOUND');
    return answer;
  };
  const ports = {
    time: systemTime,
    random: systemRandom,
    log: recordingLog(),
    meter: noMeter,
    store: new MemoryStore(),
  };
  const registry = new Registry(
    { ...ports, callers: [caller], resolve },
    {
      policy: { ...DEFAULT_POLICY, intervalMs: 100, timeoutMs: 40 },
      allowedNetworks,
      limits: DEFAULT_LIMITS,
      freshEvery: 1,
    },
  );
  const register: Registry['register'] = (registration, peer) =>
    registry.register(registration, { ...peer, address: PEER });
  const registryProxy = new Proxy(registry, {
    get(target, name) {
      if (name === 'register') return register;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const server = await serveRegistry({ registry: registryProxy, port: 0 });
  registry.listensOn(server.port, []);
  await registry.start();
  cleanups.push(async () => {
    await server.close();
    await registry.close();
  });
  const enter = async (endpoint: Partial<Endpoint>, id = 'orders-1'): Promise<{ status: number; body: any }> => {
    const response = await fetch(`${server.url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        id,
        service: 'orders',
        secret: 'a-secret-of-132-bits-22',
        endpoints: [{ protocol: 'tcp', port: 3000, ...endpoint }],
      }),
    });
    return { status: response.status, body: await response.json() };
  };
  return { enter, called, asked, port: server.port };
}

/** Addresses, and texts that some resolver, library or kernel reads as one. */
const FORMS: readonly (readonly [string, string])[] = [
  ['loopback', '127.0.0.1'],
  ['another loopback', '127.8.9.10'],
  ['loopback of IPv6', '::1'],
  ['that, written out', '0:0:0:0:0:0:0:1'],
  ['no address', '0.0.0.0'],
  ['no address of IPv6', '::'],
  ['this network', '0.1.2.3'],
  ['link-local: the metadata of clouds', '169.254.169.254'],
  ['the metadata of ECS', '169.254.170.2'],
  ['the metadata of Alibaba', '100.100.100.200'],
  ['the wire server of Azure', '168.63.129.16'],
  ['the metadata of Oracle', '192.0.0.192'],
  ['the metadata of Amazon in IPv6', 'fd00:ec2::254'],
  ['the metadata of Google in IPv6', 'fd20:ce::254'],
  ['link-local of IPv6', 'fe80::1'],
  ['site-local of IPv6', 'fec0::1'],
  ['a neighbour', '10.0.0.6'],
  ['another private network', '192.168.0.1'],
  ['a third one', '172.16.0.1'],
  ['carrier-grade NAT', '100.64.0.1'],
  ['a unique local address', 'fd12:3456::1'],
  ['a public address', '8.8.8.8'],
  ['a public address of IPv6', '2606:4700:4700::1111'],
  ['IPv4-mapped metadata', '::ffff:169.254.169.254'],
  ['that in hexadecimal', '::ffff:a9fe:a9fe'],
  ['that, written out', '0:0:0:0:0:ffff:a9fe:a9fe'],
  ['IPv4-mapped loopback', '::FFFF:127.0.0.1'],
  ['IPv4-compatible metadata', '::169.254.169.254'],
  ['IPv4-translated metadata', '::ffff:0:169.254.169.254'],
  ['NAT64', '64:ff9b::a9fe:a9fe'],
  ['NAT64, dotted', '64:ff9b::169.254.169.254'],
  ['NAT64 of a network', '64:ff9b:1::a9fe:a9fe'],
  ['6to4', '2002:a9fe:a9fe::'],
  ['Teredo', '2001:0:a9fe:a9fe::1'],
  ['the peer in NAT64', '64:ff9b::a00:5'],
  ['the peer in 6to4', '2002:a00:5::'],
  ['multicast', '224.0.0.1'],
  ['multicast of IPv6', 'ff02::1'],
  ['broadcast', '255.255.255.255'],
  ['the broadcast of a network', '10.0.0.255'],
  ['reserved', '240.0.0.1'],
  ['documentation', '192.0.2.1'],
  ['more documentation', '198.51.100.1'],
  ['yet more', '203.0.113.1'],
  ['documentation of IPv6', '2001:db8::1'],
  ['benchmarks', '198.18.0.1'],
  ['a relay of 6to4', '192.88.99.1'],
];

/** Texts that are not a host in this protocol, whatever a resolver would make of them. */
const INVALID_HOSTS: readonly (readonly [string, string])[] = [
  ['short', '127.1'],
  ['shorter', '127'],
  ['zero', '0'],
  ['three parts', '10.0.5'],
  ['octal', '0177.0.0.1'],
  ['octal, long', '00000177.0.0.1'],
  ['octal, in the last part', '127.0.0.01'],
  ['decimal', '2130706433'],
  ['decimal metadata', '2852039166'],
  ['hexadecimal', '0x7f000001'],
  ['hexadecimal in parts', '0x7f.0x0.0x0.0x1'],
  ['mixed', '0xa9.254.0251.254'],
  ['octal, whole', '017700000001'],
  ['beyond 255', '256.0.0.1'],
  ['five parts', '127.0.0.1.1'],
  ['a trailing dot', '127.0.0.1.'],
  ['a name with a trailing dot', 'localhost.'],
  ['a percent', '127.0.0.1%00'],
  ['percent-encoded', '%31%32%37.0.0.1'],
  ['a percent-encoded dot', '127%2e0%2e0%2e1'],
  ['a zone', 'fe80::1%eth0'],
  ['a zone as URLs have it', 'fe80::1%25eth0'],
  ['a zone of IPv4', '127.0.0.1%lo'],
  ['brackets', '[::1]'],
  ['brackets around IPv4', '[127.0.0.1]'],
  ['a user before it', 'a@127.0.0.1'],
  ['a user and a password', 'a:b@127.0.0.1'],
  ['a port behind it', '127.0.0.1:2379'],
  ['a URL', 'http://127.0.0.1/'],
  ['a path', '127.0.0.1/x'],
  ['a query', '127.0.0.1?x'],
  ['a fragment', '127.0.0.1#@10.0.0.5'],
  ['a backslash', '127.0.0.1\\@10.0.0.5'],
  ['a space before it', ' 127.0.0.1'],
  ['a space behind it', '127.0.0.1 '],
  ['a tab', '127.0.0.1\t'],
  ['a line', '127.0.0.1\r\nhost: x'],
  ['a NUL', '127.0.0.1\0.example'],
  ['full-width digits', '１２７.0.0.1'],
  ['circled digits', '①②⑦.0.0.1'],
  ['a full stop of another script', '127。0。0。1'],
  ['a soft hyphen', '127.0.0.1\u00ad'],
  ['a wildcard', '*'],
  ['a socket of Unix', '/var/run/docker.sock'],
  ['two IPv6 gaps', '1::2::3'],
  ['an underscore', 'metadata_server'],
  ['nothing', ''],
  ['a name of 300 letters', `${'a'.repeat(60)}.`.repeat(5)],
];

/** Names, and the addresses to which they resolve. */
const NAMES: readonly (readonly [string, string])[] = [
  ['localhost', '127.0.0.1'],
  ['ip6-localhost', '::1'],
  ['metadata.google.internal', '169.254.169.254'],
  ['instance-data', '169.254.169.254'],
  ['kubernetes.default.svc', '10.96.0.1'],
  ['rebound.example', '::ffff:169.254.169.254'],
  ['mapped.example', '::ffff:a9fe:a9fe'],
  ['zone.example', 'fe80::1%eth0'],
  ['nat64.example', '64:ff9b::a9fe:a9fe'],
  ['nobody.example', '0.0.0.0'],
  ['127.0.0.1.nip.example', '127.0.0.1'],
  ['xn--nxasmq6b.example', '127.0.0.1'],
  ['strange.example', 'not an address'],
  ['empty.example', ''],
  ['short.example', '127.1'],
];

describe('a registration', () => {
  it.each(FORMS)('is refused with the address %s (%s), and nothing is called', async (_what, host) => {
    const { enter, called, asked } = await place();
    expect(await enter({ host })).toMatchObject({ status: 422, body: { code: 'ADDRESS_NOT_ALLOWED' } });
    expect([called, asked]).toEqual([[], []]);
  });

  it.each(INVALID_HOSTS)(
    'is refused with %s (%j), which is not a host, without a resolver query',
    async (_what, host) => {
      const { enter, called, asked } = await place();
      expect(await enter({ host })).toMatchObject({ status: 400, body: { code: 'INVALID' } });
      expect([called, asked]).toEqual([[], []]);
    },
  );

  it.each(NAMES)('is refused with the name %s, which resolves to %j', async (host, address) => {
    for (const allowedNetworks of [[], ['0.0.0.0/0', '::/0']]) {
      const { enter, called } = await place({ names: { [host]: [address] }, allowedNetworks });
      if (address === '10.96.0.1' && allowedNetworks.length > 0) continue;
      const { status, body } = await enter({ host });
      expect([status, body.code]).toEqual([422, 'ADDRESS_NOT_ALLOWED']);
      // nor is the resolver's answer revealed
      const revealed = JSON.stringify(body).replaceAll(host, '');
      expect(revealed).not.toContain(address === '' ? host : address);
      expect(called).toEqual([]);
    }
  });

  it('is accepted with an address of its own, in any form, and by name', async () => {
    for (const host of [PEER, `::ffff:${PEER}`, '::ffff:a00:5', 'mine.example']) {
      const { enter, called } = await place({ names: { 'mine.example': [PEER] } });
      expect((await enter({ host })).status).toBe(201);
      await expect.poll(() => called.map((endpoint) => endpoint.host), POLL).toContain(PEER);
    }
  });

  it('is refused with the registry’s own port, on its own address and on an allowed one', async () => {
    const { enter, called, port } = await place({ allowedNetworks: ['10.0.0.0/8', '127.0.0.0/8'] });
    for (const host of [PEER, '10.0.0.9', '127.0.0.1']) expect((await enter({ host, port })).status).toBe(422);
    expect(called).toEqual([]);
  });
});

describe('a registration where all networks are allowed', () => {
  /** Addresses in no special range of their own, which such a network means. */
  const PUBLIC_ADDRESSES = new Set([
    '10.0.0.6',
    '192.168.0.1',
    '172.16.0.1',
    '100.64.0.1',
    'fd12:3456::1',
    '8.8.8.8',
    '10.0.0.255',
    '2606:4700:4700::1111',
  ]);
  it.each(FORMS.filter(([, host]) => !PUBLIC_ADDRESSES.has(host)))(
    'is refused all the same with the address %s (%s)',
    async (_what, host) => {
      const { enter, called } = await place({ allowedNetworks: ['0.0.0.0/0', '::/0'] });
      expect((await enter({ host })).status).toBe(422);
      expect(called).toEqual([]);
    },
  );

  it.each([...PUBLIC_ADDRESSES])('is accepted with the address %s, which is called', async (host) => {
    const { enter, called } = await place({ allowedNetworks: ['0.0.0.0/0', '::/0'] });
    expect((await enter({ host })).status).toBe(201);
    await expect.poll(() => called.length, POLL).toBeGreaterThan(0);
  });
});

describe('a name whose resolution changes', () => {
  it('is resolved once: the first answer is used as long as the instance lives', async () => {
    const names = { 'rebound.example': [PEER, '169.254.169.254'] };
    const { enter, called, asked } = await place({ names });
    expect((await enter({ host: 'rebound.example' })).status).toBe(201);
    await expect.poll(() => called.length, POLL).toBeGreaterThan(5);
    expect(new Set(called.map(({ host }) => host))).toEqual(new Set([PEER]));
    expect(asked).toEqual(['rebound.example']);
  });

  it('is resolved again only for another registration, which is then refused', async () => {
    const names = { 'rebound.example': [PEER, '169.254.169.254'] };
    const { enter, called } = await place({ names });
    expect((await enter({ host: 'rebound.example' })).status).toBe(201);
    expect((await enter({ host: 'rebound.example' })).status).toBe(422);
    await expect.poll(() => called.length, POLL).toBeGreaterThan(5);
    expect(new Set(called.map(({ host }) => host))).toEqual(new Set([PEER]));
  });
});

describe('a registry as users start it', () => {
  let stage: Stage;
  let token = '';
  beforeEach(async () => {
    stage = await Stage.make();
    token = await stage.token();
    await stage.start({ intervalMs: 15_000 });
  });
  afterEach(() => stage.close());

  it('refuses all of these from its own machine too, except that machine', async () => {
    const own = ['127.0.0.1', '127.8.9.10', '::1', '0:0:0:0:0:0:0:1', '::FFFF:127.0.0.1'];
    for (const [, host] of [...FORMS.filter(([, form]) => !own.includes(form)), ...INVALID_HOSTS]) {
      const { answer } = await stage.register(token, 'orders-1', { endpoints: [{ protocol: 'tcp', port: 80, host }] });
      expect([host, answer.status]).toEqual([host, INVALID_HOSTS.some(([, form]) => form === host) ? 400 : 422]);
    }
    for (const host of own) {
      const { answer } = await stage.register(token, 'orders-1', { endpoints: [{ protocol: 'tcp', port: 9, host }] });
      expect([host, answer.status]).toEqual([host, 201]);
    }
  });

  it('lets at most 32 instances claim one address', async () => {
    const all = Array.from({ length: 50 }, (_, index) => stage.register(token, `orders-${index}`));
    const statuses = (await Promise.all(all)).map(({ answer }) => answer.status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(32);
    expect(statuses.filter((status) => status === 429)).toHaveLength(18);
  });
});
