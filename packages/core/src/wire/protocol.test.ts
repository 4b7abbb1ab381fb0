import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import type { Message } from '../options/schema.js';
import { sampleInstance } from '../testing.js';
import { beatAnswerMessage, beatMessage, MAX_EDGES } from './beat.js';
import {
  drainMessage,
  formatCursor,
  heartbeatAnswerMessage,
  heartbeatCallMessage,
  instanceMessage,
  nonceOf,
  parseCursor,
  registeredMessage,
  registrationMessage,
  signedText,
  suspicionMessage,
} from './protocol.js';

const SECRET = 'Zm9yLXRoZS1wYWdlLW9ubHk';
const registration = {
  id: 'orders-0192f0c1-7a3b-7c4d-8e5f-0123456789ab',
  service: 'orders',
  endpoints: [{ protocol: 'tcp', port: 3001 }],
};
const EPOCH = '0192f0c1-7a3b-7c4d-8e5f-0123456789ab';

function flawsOf<Value>(message: Message<Value>, value: unknown) {
  const read = message.parse(value);
  return read.ok ? [] : read.problem;
}

const endpoint = (but: object) => ({ endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3001, ...but }] });

describe('a registration', () => {
  it('needs an id, a service and an endpoint; the rest has defaults', () => {
    expect(registrationMessage.parse(registration)).toEqual({
      ok: true,
      value: {
        ...registration,
        endpoints: [{ protocol: 'tcp', port: 3001, tls: false }],
        namespace: 'default',
        version: '',
        zone: '',
        weight: 100,
        metadata: {},
      },
    });
    expect(flawsOf(registrationMessage, {}).map((flaw) => flaw.path)).toEqual(['id', 'service', 'endpoints']);
  });

  it('keeps all given fields', () => {
    const full = {
      ...registration,
      namespace: 'shop-1',
      endpoints: [
        { protocol: 'tcp', host: '10.0.0.5', port: 1, tls: true },
        { protocol: 'http', host: 'orders.internal', port: 65_535, tls: false },
        { protocol: 'grpc', host: '::1', port: 50_051, tls: false },
      ],
      version: '1.4.2',
      zone: 'eu-1a',
      weight: 0,
      metadata: { team: 'блок', notes: 'two\nlines' },
      secret: SECRET,
    };
    expect(registrationMessage.parse({ ...full, tomorrow: 1 })).toEqual({ ok: true, value: full });
  });

  it.each<[string, string, object]>([
    ['no id', 'id', { id: undefined }],
    ['an empty id', 'id', { id: '' }],
    ['an id with a slash', 'id', { id: 'a/b' }],
    ['an id of 129 characters', 'id', { id: 'a'.repeat(129) }],
    ['an id that a URL would drop', 'id', { id: '..' }],
    ['an id that is a number', 'id', { id: 7 }],
    ['an upper-case service', 'service', { service: 'Orders' }],
    ['a service with a dot', 'service', { service: 'a.b' }],
    ['a service that starts with a hyphen', 'service', { service: '-a' }],
    ['a service that ends with a hyphen', 'service', { service: 'a-' }],
    ['a service of 64 characters', 'service', { service: 'a'.repeat(64) }],
    ['a service of a megabyte', 'service', { service: 'a'.repeat(1_000_000) }],
    ['a service that ends with a line break', 'service', { service: 'orders\n' }],
    ['the service *', 'service', { service: '*' }],
    ['an empty namespace', 'namespace', { namespace: '' }],
    ['the namespace *', 'namespace', { namespace: '*' }],
    ['no endpoints', 'endpoints', { endpoints: [] }],
    ['seventeen endpoints', 'endpoints', { endpoints: Array.from({ length: 17 }, (_, port) => ({ port })) }],
    ['endpoints that are not a list', 'endpoints', { endpoints: { 0: registration.endpoints[0] } }],
    ['an invalid endpoint', 'endpoints[0]', { endpoints: [null] }],
    ['an unknown protocol', 'endpoints[0].protocol', endpoint({ protocol: 'udp' })],
    ['an inherited protocol', 'endpoints[0].protocol', endpoint({ protocol: 'constructor' })],
    ['a short IPv4 address', 'endpoints[0].host', endpoint({ host: '127.1' })],
    ['an octal IPv4 address', 'endpoints[0].host', endpoint({ host: '0177.0.0.1' })],
    ['a host with a port', 'endpoints[0].host', endpoint({ host: 'a:1' })],
    ['an empty host', 'endpoints[0].host', endpoint({ host: '' })],
    ['a host that is null', 'endpoints[0].host', endpoint({ host: null })],
    ['port 0', 'endpoints[0].port', endpoint({ port: 0 })],
    ['port 65536', 'endpoints[0].port', endpoint({ port: 65_536 })],
    ['a fractional port', 'endpoints[0].port', endpoint({ port: 3000.5 })],
    ['a port as text', 'endpoints[0].port', endpoint({ port: '3000' })],
    ['tls as text', 'endpoints[0].tls', endpoint({ tls: 'true' })],
    ['a version of 65 characters', 'version', { version: '1'.repeat(65) }],
    ['a version that moves the cursor', 'version', { version: '\u001b[2J' }],
    ['a version that is a number', 'version', { version: 1 }],
    ['a zone with a slash', 'zone', { zone: 'eu/1a' }],
    ['weight -1', 'weight', { weight: -1 }],
    ['weight 1001', 'weight', { weight: 1_001 }],
    ['weight 1.5', 'weight', { weight: 1.5 }],
    ['metadata that is a list', 'metadata', { metadata: ['a'] }],
    ['metadata that is null', 'metadata', { metadata: null }],
    [
      'metadata of 65 keys',
      'metadata',
      { metadata: Object.fromEntries(Array.from({ length: 65 }, (_, at) => [at, ''])) },
    ],
    ['metadata of 4097 bytes', 'metadata', { metadata: { a: 'x'.repeat(2_048), b: 'x'.repeat(2_047) } }],
    ['metadata that is a number', 'metadata.a', { metadata: { a: 1 } }],
    ['nested metadata', 'metadata.a', { metadata: { a: { b: 'c' } } }],
    ['an unsafe key', 'metadata.__proto__', { metadata: JSON.parse('{"__proto__":"x"}') }],
    ['a nested unsafe key', 'metadata.a', { metadata: JSON.parse('{"a":{"__proto__":{"x":"y"}}}') }],
    ['a secret of 21 characters', 'secret', { secret: 'a'.repeat(21) }],
    ['a secret of 129 characters', 'secret', { secret: 'a'.repeat(129) }],
    ['a secret with a space', 'secret', { secret: `${'a'.repeat(21)} b` }],
  ])('is rejected for %s', (_what, path, but) => {
    const flaws = flawsOf(registrationMessage, { ...registration, ...but });
    expect(flaws[0]?.path).toBe(path);
    for (const flaw of flaws) {
      expect(flaw.received.length).toBeLessThanOrEqual(80);
      expect(flaw.allowed).not.toBe('');
    }
  });

  it('may name a protocol twice, but not the same endpoint', () => {
    const [tcp] = registration.endpoints;
    expect(flawsOf(registrationMessage, { ...registration, endpoints: [tcp, { ...tcp, port: 3002 }] })).toEqual([]);
    expect(flawsOf(registrationMessage, { ...registration, endpoints: [tcp, { ...tcp, protocol: 'http' }] })).toEqual(
      [],
    );
    expect(flawsOf(registrationMessage, { ...registration, endpoints: [tcp, { ...tcp, tls: true }] })).toEqual([
      { path: 'endpoints[1]', received: 'tcp :3001 again', allowed: 'each endpoint once' },
    ]);
  });

  it('does not show an invalid secret', () => {
    const [flaw] = flawsOf(registrationMessage, { ...registration, secret: 'hunter2' });
    expect(JSON.stringify(flaw)).not.toContain('hunter2');
  });

  it('is rejected without traversal if it is very deep', () => {
    const deep: unknown = JSON.parse(`${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`);
    for (const field of ['id', 'service', 'metadata', 'endpoints', 'secret']) {
      expect(flawsOf(registrationMessage, { ...registration, [field]: deep })[0]?.path).toMatch(
        new RegExp(`^${field}`),
      );
    }
    expect(flawsOf(registrationMessage, deep).map((flaw) => flaw.path)).toEqual(['id', 'service', 'endpoints']);
  });

  it('is accepted again, unchanged, after it was accepted', () => {
    const entries = fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), fc.string({ maxLength: 20 }), {
      maxKeys: 5,
    });
    const any = fc.record(
      {
        id: fc.stringMatching(/^[A-Za-z0-9._~-]{1,20}$/),
        service: fc.stringMatching(/^[a-z0-9-]{1,8}$/),
        endpoints: fc.array(
          fc.record({ protocol: fc.constantFrom('tcp', 'http', 'x'), port: fc.integer({ min: -1, max: 70_000 }) }),
          { maxLength: 3 },
        ),
        weight: fc.integer({ min: -1, max: 1_001 }),
        metadata: entries,
      },
      { requiredKeys: ['id', 'service', 'endpoints'] },
    );
    fc.assert(
      fc.property(any, (each) => {
        const once = registrationMessage.parse(each);
        if (!once.ok) return;
        expect(registrationMessage.parse(JSON.parse(JSON.stringify(once.value)))).toEqual(once);
      }),
    );
  });
});

describe('Heartbeat-1', () => {
  const call = {
    replica: 'registry-1',
    instance: registration.id,
    nonce: 'Qm8xN2ZrTjA',
    purpose: 'beat' as const,
    mac: '0123456789abcdef'.repeat(4),
  };

  it('is parsed completely or rejected', () => {
    expect(heartbeatCallMessage.parse(call)).toEqual({ ok: true, value: call });
    for (const field of Object.keys(call)) {
      expect(flawsOf(heartbeatCallMessage, { ...call, [field]: undefined })[0]?.path).toBe(field);
    }
  });

  it.each([
    ['replica', 'a|b|c|d|e'],
    ['nonce', 'short'],
    ['nonce', 'a'.repeat(65)],
    ['instance', 'a|b'],
    ['purpose', 'steal'],
    ['mac', 'A'.repeat(64)],
    ['mac', 'a'.repeat(63)],
  ])('is rejected with the %s %s', (field, value) => {
    expect(flawsOf(heartbeatCallMessage, { ...call, [field]: value })[0]?.path).toBe(field);
  });

  it('signs its four fields, none of which can contain the separator', () => {
    expect(signedText(call)).toBe(`registry-1|${registration.id}|Qm8xN2ZrTjA|beat`);
  });

  it('is answered with its nonce if it has one, authentic or not', () => {
    expect(nonceOf(call)).toBe(call.nonce);
    expect(nonceOf({ nonce: call.nonce })).toBe(call.nonce);
    for (const other of [
      undefined,
      null,
      'x',
      7,
      [],
      {},
      { nonce: null },
      { nonce: 'a b' },
      { nonce: 'a'.repeat(1e6) },
    ]) {
      expect(nonceOf(other)).toBeNull();
    }
  });

  it('has an answer with an id and a nonce or null', () => {
    expect(heartbeatAnswerMessage.parse({ instance: 'a', nonce: call.nonce }).ok).toBe(true);
    expect(heartbeatAnswerMessage.parse({ instance: 'a' })).toEqual({
      ok: true,
      value: { instance: 'a', nonce: null },
    });
    expect(flawsOf(heartbeatAnswerMessage, { nonce: call.nonce })[0]?.path).toBe('instance');
    expect(flawsOf(heartbeatAnswerMessage, { instance: 'a', nonce: '<script>' })[0]?.path).toBe('nonce');
  });
});

function edgesOf(edges: unknown): unknown {
  const parsed = beatMessage.parse({ seq: 1, edges });
  return parsed.ok ? parsed.value.edges : parsed.problem;
}

describe('Heartbeat-2', () => {
  it('needs a sequence number', () => {
    expect(beatMessage.parse({ seq: 0 })).toEqual({ ok: true, value: { nonce: null, seq: 0 } });
    const full = { nonce: 'Qm8xN2ZrTjA', seq: Number.MAX_SAFE_INTEGER, load: { inFlight: 3, loopLagMs: 0.25 } };
    expect(beatMessage.parse(full)).toEqual({ ok: true, value: full });
  });

  it.each([
    ['seq', { seq: undefined }],
    ['seq', { seq: -1 }],
    ['seq', { seq: 0.5 }],
    ['seq', { seq: 2 ** 53 }],
    ['seq', { seq: '1' }],
    ['nonce', { nonce: 'short' }],
    ['nonce', { nonce: 7 }],
    ['load', { load: 3 }],
    ['load.inFlight', { load: { inFlight: -1, loopLagMs: 0 } }],
    ['load.loopLagMs', { load: { inFlight: 0 } }],
  ])('is rejected for its %s: %j', (path, but) => {
    expect(flawsOf(beatMessage, { nonce: null, seq: 1, ...but })[0]?.path).toBe(path);
  });

  const edge = { windowMs: 5_000, calls: 9, failures: 1, retries: 2, p50Ms: 1.5, p99Ms: null, inFlight: 3 };

  it('reports the called services; invalid ones are dropped, and the beat counts', () => {
    const good = { service: 'payments', ...edge };
    const bad = [
      { to: 'payments' },
      { ...good, service: 'Pay' },
      { ...good, calls: -1 },
      { ...good, p50Ms: 'fast' },
      7,
    ];
    expect(edgesOf([...bad, good, ...bad])).toEqual([good]);
    for (const invalid of [7, null, {}, 'edges', bad]) expect(edgesOf(invalid)).toEqual([]);
  });

  it('reports at most 64 services', () => {
    const many = Array.from({ length: 100 }, (_, n) => ({ service: `service-${n}`, ...edge }));
    expect(edgesOf(many)).toEqual(many.slice(0, MAX_EDGES));
  });

  it('is answered with the state after it', () => {
    expect(beatAnswerMessage.parse({ state: 'HEALTHY', revision: 4 }).ok).toBe(true);
    expect(flawsOf(beatAnswerMessage, { state: 'FINE', revision: -1 }).map((flaw) => flaw.path)).toEqual([
      'state',
      'revision',
    ]);
  });
});

describe('suspicion and drain', () => {
  it('a suspicion names the caller and the outcome', () => {
    expect(suspicionMessage.parse({ by: 'gateway', outcome: 'refused' }).ok).toBe(true);
    expect(flawsOf(suspicionMessage, { by: '', outcome: 'slow' }).map((flaw) => flaw.path)).toEqual(['by', 'outcome']);
    expect(flawsOf(suspicionMessage, { by: 'a\nb', outcome: 'closed' })[0]?.path).toBe('by');
  });

  it('a drain takes 0 to an hour, by default 30 s', () => {
    expect(drainMessage.parse({})).toEqual({ ok: true, value: { deadlineMs: 30_000 } });
    expect(drainMessage.parse({ deadlineMs: 0 }).ok).toBe(true);
    for (const deadlineMs of [-1, 3_600_001, '1', null]) expect(drainMessage.parse({ deadlineMs }).ok).toBe(false);
  });
});

describe('the answer to a registration', () => {
  const registered = {
    instance: sampleInstance(),
    epoch: EPOCH,
    revision: 9,
    heartbeat: { intervalMs: 5_000, timeoutMs: 2_000, freshEvery: 1 },
    registries: ['http://127.0.0.1:1337', 'http://[::1]:1337'],
  };

  it('is parsed, with unknown fields dropped', () => {
    expect(registeredMessage.parse({ ...registered, note: 'hello' })).toEqual({ ok: true, value: registered });
  });

  it.each([
    ['heartbeat.intervalMs', { heartbeat: { intervalMs: 0, timeoutMs: 1, freshEvery: 1 } }],
    ['heartbeat.intervalMs', { heartbeat: { intervalMs: 2 ** 31, timeoutMs: 1, freshEvery: 1 } }],
    ['registries[0]', { registries: ['file:///etc/passwd'] }],
    ['registries', { registries: Array.from({ length: 65 }, () => 'http://a') }],
    ['epoch', { epoch: '1' }],
    ['secret', { secret: 'x' }],
    ['instance.state', { instance: sampleInstance({ state: 'DEAD' as never }) }],
  ])('is rejected with an invalid %s', (path, but) => {
    expect(flawsOf(registeredMessage, { ...registered, ...but })[0]?.path).toBe(path);
  });
});

const flawOfInstance = (but: object) => flawsOf(instanceMessage, { ...sampleInstance(), ...but })[0]?.path;

describe('an instance', () => {
  it('accepts unknown values of a newer registry', () => {
    const newer = {
      ...sampleInstance(),
      source: 'dns',
      reason: { code: 'MOON_PHASE', text: 'it is full' },
      endpoints: [{ protocol: 'quic', host: 'a', port: 1, tls: true }],
      next: { state: 'RESTING', afterMs: 1, unless: 'SUNRISE' },
    };
    expect(instanceMessage.parse({ ...newer, note: 'good' })).toEqual({ ok: true, value: newer });
  });

  it('is rejected if it could mislead a caller', () => {
    expect(flawOfInstance({ state: 'GREAT' })).toBe('state');
    expect(flawOfInstance({ admin: 'OFF' })).toBe('admin');
    expect(flawOfInstance({ revision: 1.5 })).toBe('revision');
    expect(flawOfInstance({ weight: 1e9 })).toBe('weight');
    expect(flawOfInstance({ endpoints: [{ protocol: 'tcp', host: '0x7f.1', port: 1, tls: false }] })).toBe(
      'endpoints[0].host',
    );
    expect(flawOfInstance({ metadata: JSON.parse('{"__proto__":"x"}') })).toBe('metadata.__proto__');
  });
});

describe('a cursor', () => {
  it('is unchanged after serialisation and parsing', () => {
    const cursor = { epoch: EPOCH, revision: 4_711 };
    expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
  });

  it.each(['', '1', EPOCH, `${EPOCH}.`, `${EPOCH}.-1`, `${EPOCH}.1.2`, `x${EPOCH}.1`, `${EPOCH}.${'9'.repeat(16)}`])(
    'is not %j',
    (text) => {
      expect(parseCursor(text)).toBeNull();
    },
  );
});
