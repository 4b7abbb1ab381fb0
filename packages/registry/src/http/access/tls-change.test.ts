import { once } from 'node:events';
import { connect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GuardedRegistry } from './authorization.fixture.js';
import { Pki } from './pki.fixture.js';
import type { Pair } from './pki.fixture.js';
import { TestPki, DAY_MS, createSkewedTime, POLL } from './tls.fixture.js';

let pki: TestPki;
beforeAll(async () => {
  pki = await TestPki.make();
});
afterEach(() => pki.clear());
afterAll(() => pki.close());

describe('TLS files that change', () => {
  it('apply to new connections, and end none', async () => {
    const registry = await pki.registry();
    const ask = pki.keepConnection(registry, pki.reader);
    const watch = pki.keepConnection(registry, pki.reader);
    const { socket } = await ask('/api/v1/services');
    const stream = await watch('/api/v1/watch?service=*');
    let isOver = false;
    stream.socket.once('close', () => (isOver = true));
    const before = await pki.shown(registry);
    const next = await pki.pki.sign({ sans: ['IP:127.0.0.1'] });
    const nameOf = (path: string): string => path.slice(pki.pki.folder.length + 1);
    await pki.pki.write(nameOf(registry.files.certFile), next.cert);
    // for a while the certificate and the key do not match
    await expect.poll(() => registry.log.texts('warn').join('\n'), POLL).toContain('cannot be used');
    expect(await pki.shown(registry)).toBe(before);
    await pki.pki.write(nameOf(registry.files.keyFile), next.key);
    await expect.poll(() => pki.shown(registry), POLL).not.toBe(before);
    expect((await ask('/api/v1/services')).socket).toBe(socket);
    expect(isOver).toBe(false);
    expect(registry.log.texts('warn').filter((text) => text.includes('cannot be used'))).toHaveLength(1);
    const { body } = await registry.ask('/api/v1/registry', { certificate: pki.reader });
    expect(body.tls.fingerprint).not.toBe(before);
  });

  it('admit the clients of an added CA and end no connection; after a removal those of the CA are closed', async () => {
    const other = await Pki.make();
    pki.add(other);
    const theirs = await other.sign({ sans: ['URI:rollcall:reader'] });
    const registry = await pki.registry();
    expect((await registry.ask('/api/v1/services', { certificate: theirs })).status).toBe(401);
    const ask = pki.keepConnection(registry, pki.reader);
    const { socket } = await ask('/api/v1/services');
    const name = registry.files.caFile.slice(pki.pki.folder.length + 1);
    await pki.pki.write(name, `${pki.pki.ca}\n${other.ca}`);
    const statusOf = async (certificate: Pair) => (await registry.ask('/api/v1/services', { certificate })).status;
    await expect.poll(() => statusOf(theirs), POLL).toBe(200);
    expect((await ask('/api/v1/services')).socket).toBe(socket);
    const closed = once(socket, 'close');
    await pki.pki.write(name, other.ca);
    await closed;
    expect(await statusOf(pki.reader)).toBe(401);
    expect(await statusOf(theirs)).toBe(200);
  });
});

describe('a certificate that is revoked', () => {
  it('is refused from then on: on kept connections, on streams and in resumed sessions', async () => {
    const doomed = await pki.pki.sign({ sans: ['URI:rollcall:reader'] });
    const crlFile = await pki.pki.write('clients.crl', await pki.pki.revocationList());
    const registry = await pki.registry({ crlFile });
    const ask = pki.keepConnection(registry, doomed);
    const { socket } = await ask('/api/v1/services');
    const stream = await pki.keepConnection(registry, doomed)('/api/v1/watch?service=*');
    const sessionOf = async (session?: Buffer) => {
      const port = Number(new URL(registry.url).port);
      const kept = connect({
        host: '127.0.0.1',
        port,
        ca: pki.pki.ca,
        ...doomed,
        ...(session === undefined ? {} : { session }),
      });
      let ticket: Buffer = Buffer.alloc(0);
      let text = '';
      let isReused = false;
      kept.on('secureConnect', () => (isReused = kept.isSessionReused()));
      kept.on('session', (received: Buffer) => (ticket = received));
      kept.on('data', (part: Buffer) => (text += String(part)));
      kept.write('GET /api/v1/services HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n');
      await once(kept, 'close');
      return { ticket, isReused, status: Number(text.slice(9, 12)) };
    };
    const first = await sessionOf();
    expect(first.status).toBe(200);
    expect(first.ticket.length).toBeGreaterThan(0);
    expect(await sessionOf(first.ticket)).toMatchObject({ isReused: false, status: 200 });
    const ends = Promise.all([once(socket, 'close'), once(stream.socket, 'close')]);
    await pki.pki.write('clients.crl', await pki.pki.revocationList(doomed));
    await ends;
    expect(await sessionOf(first.ticket)).toMatchObject({ isReused: false, status: 401 });
    expect(await registry.ask('/api/v1/services', { certificate: doomed })).toMatchObject({
      status: 401,
      body: { detail: expect.stringContaining('it was revoked') },
    });
    expect((await registry.ask('/api/v1/services', { certificate: pki.reader })).status).toBe(200);
    // a list that cannot be read changes nothing, and is logged once
    await pki.pki.write('clients.crl', 'nonsense');
    const refusals = () => registry.log.texts('warn').filter((text) => text.includes('clients.crl'));
    await expect.poll(() => refusals().length, POLL).toBe(1);
    expect((await registry.ask('/api/v1/services', { certificate: doomed })).status).toBe(401);
    expect((await registry.ask('/api/v1/services', { certificate: pki.reader })).status).toBe(200);
  });
});

describe('a certificate that expires', () => {
  it('is refused from then on, although its connection lives, and its streams end', async () => {
    const time = createSkewedTime();
    const registry = await pki.registry({}, { time });
    const ask = pki.keepConnection(registry, pki.reader);
    const { socket } = await ask('/api/v1/services');
    const stream = await pki.keepConnection(registry, pki.reader)('/api/v1/watch?service=*');
    const end = once(stream.response, 'end');
    time.laterMs = 3 * DAY_MS;
    const late = await ask('/api/v1/services');
    expect(late.socket).toBe(socket);
    expect(late.response.statusCode).toBe(401);
    expect(late.text).toContain('it has expired');
    await end;
  });
});

const beat = (registry: GuardedRegistry, of: { id: string; secret: string }, certificate: Pair | null, seq = 1) =>
  registry.ask(`/api/v1/instances/${of.id}/heartbeat`, {
    method: 'POST',
    certificate,
    bearer: of.secret,
    body: { nonce: null, seq },
  });

describe('an instance with a certificate', () => {
  it('sends heartbeats with its secret, over a connection with any certificate for its service', async () => {
    const registry = await pki.registry();
    const own = await registry.enrol(pki.orders);
    expect((await beat(registry, own, pki.orders)).status).toBe(200);
    const renewed = await pki.pki.sign({ sans: ['URI:rollcall:service:ord*'] });
    expect((await beat(registry, own, renewed, 2)).status).toBe(200);
    const another = await pki.pki.sign({ sans: ['URI:rollcall:service:billing'] });
    expect(await beat(registry, own, another, 3)).toMatchObject({
      status: 401,
      body: {
        code: 'TOKEN_LAPSED',
        detail: expect.stringMatching(/with certificate cert:\w+, and this .* not for orders/),
      },
    });
    expect(await beat(registry, own, null, 3)).toMatchObject({ status: 401, body: { code: 'TOKEN_LAPSED' } });
    expect(await beat(registry, { ...own, secret: 'a-secret-that-is-just-not-his' }, pki.orders, 3)).toMatchObject({
      status: 401,
      body: { code: 'UNAUTHORIZED' },
    });
    const expired = await pki.pki.sign({ sans: ['URI:rollcall:service:orders'], isExpired: true });
    expect(await beat(registry, own, expired, 3)).toMatchObject({
      status: 401,
      body: { code: 'CERTIFICATE_UNTRUSTED', detail: expect.stringContaining('it has expired') },
    });
  });

  it('continues with a certificate after its token has become invalid', async () => {
    const registry = await pki.registry();
    await registry.stop();
    const token = await registry.token({ role: 'service', services: ['orders'] });
    await registry.start({ tls: registry.files });
    const own = await registry.enrol(token.text);
    expect((await beat(registry, own, null)).status).toBe(200);
    await registry.revoke(token.id);
    await registry.until(token.text, 401);
    expect(await beat(registry, own, null, 2)).toMatchObject({ status: 401, body: { code: 'TOKEN_LAPSED' } });
    expect((await beat(registry, own, pki.orders, 3)).status).toBe(200);
  });

  it('has a line that ends with its certificate', async () => {
    const time = createSkewedTime();
    const registry = await pki.registry({}, { time });
    const own = await registry.enrol(pki.orders);
    const headers = { authorization: `Bearer ${own.secret}` };
    const { response } = await pki.keepConnection(registry, pki.orders)(`/api/v1/watch?instance=${own.id}`, headers);
    expect(response.statusCode).toBe(200);
    const end = once(response, 'end');
    time.laterMs = 3 * DAY_MS;
    await end;
  });
});
