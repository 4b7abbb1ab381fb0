import { systemTime } from '@rollcall/core';
import { recordingLog } from '@rollcall/core/testing';
import { once } from 'node:events';
import { request as plainRequest } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { embedRegistry } from '../../embed.js';
import { startRegistry } from '../start.js';
import { ENDPOINT } from './authorization.fixture.js';
import { TestPki, DAY_MS, createSkewedTime, POLL } from './tls.fixture.js';

let pki: TestPki;
beforeAll(async () => {
  pki = await TestPki.make();
});
afterEach(() => pki.clear());
afterAll(() => pki.close());

/** The refusal to serve a port on which a registry listens with the other scheme. */
const taken = (url: string) => ({
  code: 'PORT_TAKEN',
  message: expect.stringMatching(`^A Rollcall registry serves ${url} already.*ROLLCALL_URL=${url}.*--port 0`),
});

describe('a registry over TLS', () => {
  it('reports its access control, and no secrets', async () => {
    const registry = await pki.registry();
    const { body, text } = await registry.ask('/api/v1/registry', { certificate: pki.reader });
    expect(registry.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    expect(body).toMatchObject({
      access: 'certificates',
      insecure: false,
      tls: {
        expiresAt: expect.any(Number),
        fingerprint: await pki.shown(registry),
        names: ['IP Address:127.0.0.1', 'DNS:localhost'],
        clientCertificates: true,
        revocationList: false,
      },
      options: { tls: { value: 'yes, clients are asked for certificates', source: 'option' } },
    });
    expect(body.tls.expiresAt - systemTime.wall()).toBeGreaterThan(DAY_MS);
    expect(text + registry.log.texts().join('\n')).not.toContain('PRIVATE KEY');
    expect(text).not.toContain(pki.pki.folder);
  });

  it('without caFile is open on loopback as before, and refuses other addresses', async () => {
    const log = recordingLog();
    const { certFile, keyFile } = await pki.writeFiles();
    const registry = await startRegistry({ port: 0, log, tls: { certFile, keyFile } });
    pki.add(registry);
    expect(registry.url).toMatch(/^https:/);
    await expect(startRegistry({ port: 0, host: '0.0.0.0', tls: { certFile, keyFile } })).rejects.toMatchObject({
      code: 'NOT_LOOPBACK',
      message: expect.stringContaining('--tls-ca'),
    });
  });

  it('with caFile alone may listen on a network, and refuses clients without a certificate', async () => {
    const registry = await pki.registry({}, { host: '0.0.0.0' });
    expect(await registry.ask('/api/v1/services')).toMatchObject({
      status: 401,
      body: {
        detail: expect.stringContaining('a client certificate'),
        fix: expect.stringContaining('ROLLCALL_CERT_FILE'),
      },
    });
    expect((await registry.ask('/api/v1/services', { certificate: pki.reader })).status).toBe(200);
  });

  it('uses the token of a request, or else the certificate', async () => {
    const registry = await pki.registry();
    const { text: token, id } = await registry.token();
    // this registry does not ask for certificates, so it is ignored
    expect((await registry.ask('/api/v1/services', { certificate: pki.reader, bearer: token })).status).toBe(200);
    expect((await registry.ask('/api/v1/services', { bearer: token })).status).toBe(401);
    await registry.stop();
    await registry.start({ tls: registry.files });
    expect((await registry.ask('/api/v1/services', { bearer: token })).status).toBe(200);
    const asked = { method: 'POST', body: { id: 'x-1', service: 'orders', endpoints: [ENDPOINT] } } as const;
    expect(await registry.ask('/api/v1/register', { ...asked, certificate: pki.orders, bearer: token })).toMatchObject({
      status: 403,
      body: { detail: expect.stringContaining(`Token ${id} has the role reader`) },
    });
    expect((await registry.ask('/api/v1/register', { ...asked, certificate: pki.orders })).status).toBe(201);
    const strange = await pki.pki.selfSigned({ sans: ['URI:rollcall:operator'] });
    expect(await registry.ask('/api/v1/services', { certificate: strange, bearer: token })).toMatchObject({
      status: 401,
      body: { detail: expect.stringContaining('self-signed') },
    });
  });

  it('maps the certificates of an existing PKI by its rules', async () => {
    const certificates = [{ san: 'URI:spiffe://prod/orders', role: 'service', services: ['orders'] }] as const;
    const registry = await pki.registry({ certificates });
    const spiffe = await pki.pki.sign({ sans: ['URI:spiffe://prod/orders'] });
    await registry.enrol(spiffe);
    const other = await pki.pki.sign({ sans: ['URI:spiffe://prod/mail'] });
    expect(await registry.ask('/api/v1/services', { certificate: other })).toMatchObject({
      status: 403,
      body: {
        detail: expect.stringContaining('URI:spiffe://prod/mail'),
        fix: expect.stringContaining('tls.certificates'),
      },
    });
  });

  it('rejects a certificate with two names', async () => {
    const registry = await pki.registry();
    const twoNames = await pki.pki.sign({ sans: ['URI:rollcall:service:orders, URI:rollcall:operator'] });
    expect((await registry.ask('/api/v1/services', { certificate: twoNames })).status).toBe(403);
  });

  it('records the certificate of each action in its log and history', async () => {
    const registry = await pki.registry();
    const { id } = await registry.enrol(pki.orders);
    await registry.ask(`/api/v1/instances/${id}`, {
      method: 'PATCH',
      certificate: pki.orders,
      body: { weight: 1 },
      from: '127.0.0.7',
    });
    await registry.ask(`/api/v1/instances/${id}`, { method: 'DELETE', certificate: pki.operator, from: '127.0.0.7' });
    expect(registry.log.texts().filter((text) => text.startsWith('Access'))).toEqual([
      expect.stringMatching(
        /^Access: service certificate cert:[0-9a-f]{16} from .*POST \/api\/v1\/register id=orders-1/,
      ),
      expect.stringMatching(
        /^Access refused: service certificate cert:[0-9a-f]{16} from 127\.0\.0\.7: PATCH .* → 403$/,
      ),
      expect.stringMatching(/^Access: operator certificate cert:[0-9a-f]{16} from 127\.0\.0\.7: DELETE .* → 204$/),
    ]);
    const { body } = await registry.ask('/api/v1/events', { certificate: pki.reader });
    expect(JSON.stringify(body)).toMatch(/removed by operator certificate cert:[0-9a-f]{16} from 127\.0\.0\.7/);
  });

  it('detects at once that a watcher has disconnected, and names the owner of a taken port', async () => {
    const registry = await pki.registry();
    const { socket } = await pki.keepConnection(registry, pki.reader)('/api/v1/watch?service=*');
    const watchers = async () => (await registry.ask('/api/v1/registry', { certificate: pki.reader })).body.watchers;
    expect(await watchers()).toBe(1);
    // as if its process were killed: without close_notify of TLS
    socket.destroy();
    await expect.poll(watchers, POLL).toBe(0);
    const { certFile, keyFile } = registry.files;
    const port = Number(new URL(registry.url).port);
    await expect(startRegistry({ port, tls: { certFile, keyFile } })).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringContaining(`A Rollcall registry serves ${registry.url} already`),
    });
  });

  it('is recognised as a registry by a process that wants its port without TLS, and vice versa', async () => {
    const registry = await pki.registry();
    const port = Number(new URL(registry.url).port);
    await expect(startRegistry({ port })).rejects.toMatchObject(taken(registry.url));
    const embedded = pki.add(embedRegistry({ port }));
    // its services would not reach that one at the address that they know
    await expect(embedded.start({ production: false })).rejects.toMatchObject(taken(registry.url));
    const plain = pki.add(await startRegistry({ port: 0 }));
    const { certFile, keyFile } = registry.files;
    const tls = { certFile, keyFile };
    await expect(startRegistry({ port: plain.port, tls })).rejects.toMatchObject(taken(plain.url));
  });

  it('logs a client that does not use TLS', async () => {
    const registry = await pki.registry();
    const sent = plainRequest(registry.url.replace('https:', 'http:'));
    sent.end();
    await once(sent, 'error');
    await expect.poll(() => registry.log.texts('warn').join('\n'), POLL).toContain('the URL must begin with https://');
  });

  it('warns of a certificate that is for another name', async () => {
    const log = recordingLog();
    const other = await pki.pki.sign({ sans: ['DNS:registry.internal'] });
    const { certFile, keyFile } = await pki.writeFiles(other);
    const registry = await startRegistry({ port: 0, log, tls: { certFile, keyFile } });
    pki.add(registry);
    expect(log.texts('warn').join('\n')).toContain('is for DNS:registry.internal, not for 127.0.0.1');
    const named = await startRegistry({ port: 0, tls: { certFile, keyFile }, names: ['registry.internal'] });
    pki.add(named);
    expect(named.url).toBe(`https://registry.internal:${named.port}`);
  });

  it('warns once two weeks before its certificate expires, and once when it has', async () => {
    const log = recordingLog();
    const time = createSkewedTime();
    const { certFile, keyFile } = await pki.writeFiles();
    pki.add(await startRegistry({ port: 0, log, time, tls: { certFile, keyFile } }));
    expect(log.texts('warn').join('\n')).toMatch(/expires in (?:48 h|2 days) .*: put a new one/);
    time.laterMs = 3 * DAY_MS;
    await expect.poll(() => log.texts('error').length, POLL).toBeGreaterThan(0);
    expect(log.texts('error').join('\n')).toContain('has expired');
    expect(log.texts('warn').filter((text) => text.includes('expires in'))).toHaveLength(1);
  });
});

describe('files of TLS', () => {
  it.each([
    [{ certFile: 'server.pem' }, 'certFile is set without keyFile'],
    [{ caFile: 'ca.pem' }, 'tls.caFile is set without certFile'],
    [{ certFile: 'a', keyFile: 'b', crlFile: 'c' }, 'tls.crlFile is set without caFile'],
    [{ certFile: 'a', keyFile: 'b', certificates: [{ san: 'DNS:a', role: 'reader' }] }, 'without caFile'],
    [{ certFile: '-----BEGIN CERTIFICATE-----', keyFile: 'b' }, 'the name of a file, not PEM text'],
    [{ certFile: 'a', keyFile: 'b', caFile: 'c', certificates: [{ san: 'orders', role: 'reader' }] }, 'DNS:<name>'],
    [
      { certFile: 'a', keyFile: 'b', caFile: 'c', certificates: [{ san: 'DNS:a', role: 'service' }] },
      'give the services',
    ],
    [{ certFile: 'a', keyFile: 'b', caFile: 'c', certificates: [{ role: 'reader' }] }, 'give a san and a role'],
    [{ certFile: '/nowhere/a.pem', keyFile: '/nowhere/a.key' }, '/nowhere/a'],
  ])('with contradictory options are refused at the start: %j', async (tls, text) => {
    await expect(startRegistry({ port: 0, tls: tls as never })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(text),
    });
  });

  it('reject a certificate and key that do not match, and insecure together with caFile', async () => {
    const tls = await pki.writeFiles();
    const keyFile = await pki.pki.write('another.key', pki.orders.key);
    await expect(startRegistry({ port: 0, tls: { ...tls, keyFile } })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    await expect(startRegistry({ port: 0, insecure: true, tls })).rejects.toThrow('contradict each other');
    const heartbeatTls = { ca: '-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----' };
    await expect(startRegistry({ port: 0, tls, heartbeatTls })).rejects.toThrow('Option tls and heartbeatTls: ');
    const crlFile = await pki.pki.write('no.crl', pki.pki.ca);
    await expect(startRegistry({ port: 0, tls: { ...tls, crlFile } })).rejects.toThrow('revocation list');
  });
});
