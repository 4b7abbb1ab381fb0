// Provokes what `rollcall doctor` finds on the way to a registry: no answer, no TLS, no access.
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRegistry as startInside } from '@rollcall/registry';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Certificates, textOf } from './certificates.js';
import type { CertificateOptions, Pair } from './certificates.js';
import {
  closeAll,
  CONNECTION_CODES,
  diagnose,
  finding,
  openPort,
  provoked,
  register,
  startProxy,
  startMemoryRegistry,
} from './doctor-stage.js';
import { freePort } from './free-port.js';
import { endAll } from './spawn.js';
import { addToken } from './token-file.js';
import { waitFor } from './wait-for.js';

const made = new Certificates();
const folder = mkdtempSync(join(tmpdir(), 'rollcall-doctor-'));

afterEach(async () => {
  await closeAll();
  await endAll();
});

let ca: Pair;
let caFile = '';
beforeAll(async () => {
  ca = await made.createAuthority('ca');
  caFile = ca.certFile;
});
afterAll(() => {
  made.remove();
  rmSync(folder, { recursive: true });
});

const secure = async (options: CertificateOptions = {}): Promise<number> => {
  const { certFile, keyFile } = await made.createSigned(ca, options);
  const server = createSecureServer({ cert: textOf(certFile), key: textOf(keyFile) }, (_, response) =>
    response.end('{}'),
  );
  return openPort(server.on('tlsClientError', () => {}));
};
const plain = (): Promise<number> => openPort(createServer((_, response) => response.end('<h1>shop</h1>')));
const trusting = (): NodeJS.ProcessEnv => ({ ROLLCALL_CA_FILE: caFile });

describe('the doctor, where no registry answers,', () => {
  it.each<[string, string, () => Promise<string>, RegExp, RegExp, (() => NodeJS.ProcessEnv)?]>([
    [
      'no process listens',
      'registry-not-listening',
      async () => `http://127.0.0.1:${await freePort()}`,
      /ECONNREFUSED/,
      /npx rollcall up --port \d+/,
    ],
    [
      'its name leads nowhere',
      'registry-name-unknown',
      async () => 'http://nowhere.invalid:1337',
      /ENOTFOUND|EAI_AGAIN/,
      /getent hosts nowhere.invalid/,
    ],
    [
      'it sends nothing',
      'registry-silent',
      async () => `http://127.0.0.1:${await openPort(createTcpServer(() => {}))}`,
      /no answer within 3000 ms/,
      /is its process stopped, or busy\?/,
    ],
    [
      'the server uses TLS',
      'registry-speaks-tls',
      async () => `http://127.0.0.1:${await secure()}`,
      /./,
      /ROLLCALL_URL=https:/,
    ],
    [
      'the server does not use TLS',
      'registry-speaks-no-tls',
      async () => `https://127.0.0.1:${await plain()}`,
      /./,
      /ROLLCALL_URL=http:/,
      trusting,
    ],
    [
      'its certificate is not trusted',
      'registry-certificate',
      async () => `https://127.0.0.1:${await secure()}`,
      /./,
      /ROLLCALL_CA_FILE=/,
    ],
    [
      'its certificate is not valid yet',
      'registry-certificate',
      async () => `https://127.0.0.1:${await secure({ isNotYetValid: true })}`,
      /not yet valid/,
      /timedatectl/,
      trusting,
    ],
    [
      'its certificate has expired',
      'registry-certificate',
      async () => `https://127.0.0.1:${await secure({ days: 0 })}`,
      /expired/,
      /new certificate/,
      trusting,
    ],
    [
      'another program answers',
      'not-a-registry',
      async () => `http://127.0.0.1:${await plain()}`,
      /answered with 200.*<h1>shop/,
      /ss -ltnp 'sport = :\d+'/,
    ],
    [
      'the answer is not HTTP',
      'not-a-registry',
      async () =>
        `http://127.0.0.1:${await openPort(createTcpServer((one) => void one.on('error', () => {}).end('SSH-2.0-x\r\n')))}`,
      /Parse Error/,
      /ss -ltnp/,
    ],
  ])('reports that %s, as %s, and exits with 3', async (...[, code, urlOfIt, evidence, fix, env]) => {
    const diagnosis = await diagnose(await urlOfIt(), [], env?.());
    finding(diagnosis, code, evidence, fix);
    expect(diagnosis).toMatchObject({ code: 3, findings: [{ gravity: 'broken' }], unchecked: [expect.any(String)] });
  });
});

describe('a registry that does not let the doctor in', () => {
  it('is reported while it reads its store', async () => {
    const port = await freePort();
    const slow = { name: 'slow', durable: false, load: () => new Promise<never>(() => {}) };
    const store = { ...slow, write: () => Promise.resolve(), close: () => Promise.resolve() };
    const loading = startInside({ port, store });
    loading.catch(() => null);
    const url = `http://127.0.0.1:${port}`;
    await waitFor('it serves', () =>
      fetch(`${url}/health/live`)
        .then((answer) => answer.ok)
        .catch(() => false),
    );
    const diagnosis = await diagnose(url);
    finding(diagnosis, 'registry-not-ready', /503 NOT_READY/, /log/);
    expect(diagnosis.code).toBe(1);
  });

  it('is reported when it does not accept the name', async () => {
    const url = await startProxy(await startMemoryRegistry(), { host: 'registry.shop' });
    finding(await diagnose(url), 'registry-name-refused', /421 MISDIRECTED/, /rollcall up --name/);
  });

  it('is reported when the token is not valid, and reports which services were refused for that', async () => {
    const tokens = join(folder, 'tokens.json');
    const request = { role: 'reader', services: [] } as const;
    const { token: reader } = await addToken(tokens, request);
    const { token: over } = await addToken(tokens, { ...request, expiresAt: Date.now() - 5_000 });
    const url = await startMemoryRegistry('--tokens', tokens);
    const wrong = `${reader.slice(0, -1)}${reader.endsWith('A') ? 'B' : 'A'}`;
    const by = (token: string) => diagnose(url, [], { ROLLCALL_TOKEN: token });
    finding(
      await diagnose(url),
      'token-missing',
      /401 UNAUTHORIZED: This registry requires a token/,
      /rollcall token create --role reader/,
    );
    const { token: ending, record } = await addToken(tokens, { ...request, expiresAt: Date.now() + 86_400_000 });
    const warning = new RegExp(`token ${record.id} \\(reader\\) ends in 23 h`);
    await waitFor('the new token counts', async () =>
      (await by(ending)).findings.every((one) => one.gravity !== 'broken'),
    );
    finding(await by(ending), 'token-expiring', warning, /rollcall token create/);
    finding(await by(wrong), 'token-wrong', /does not know the token/, /ROLLCALL_TOKEN/);
    finding(await by(over), 'token-lapsed', /has expired/, /rollcall token create/);

    const endpoints = [{ protocol: 'tcp', port: 9 }];
    await register(url, { id: 'orders-1', service: 'orders', endpoints });
    await register(url, { id: 'users-1', service: 'users', endpoints, token: reader });
    const refused = await by(reader);
    finding(
      refused,
      'service-not-let-in',
      /UNAUTHORIZED: This registry requires a token, and none was sent/,
      /ROLLCALL_TOKEN/,
    );
    finding(refused, 'service-not-let-in', /FORBIDDEN: Token \S+ has the role reader/, /--role service/);
    expect(refused.fine.join()).toContain('it asks for tokens');

    // continued guessing is rate-limited
    const guess = () => register(url, { id: 'orders-1', service: 'orders', endpoints, token: wrong });
    for (let guesses = 0; guesses < 40; guesses += 1) await guess();
    const enough = new AbortController();
    const guessing = (async () => {
      while (!enough.signal.aborted) await guess();
    })();
    const [slowed] = await Promise.all([by(wrong).finally(() => enough.abort()), guessing]);
    finding(slowed, 'registry-refuses', /429 TOO_MANY/, /./);
  });

  it('is reported when a certificate has no name, and its own expires soon', async () => {
    const server = await made.createSigned(ca);
    const args = ['--tls-cert', server.certFile, '--tls-key', server.keyFile, '--tls-ca', caFile];
    const url = await startMemoryRegistry(...args);
    const shown = async (...names: string[]) => {
      const { certFile, keyFile } = await made.createSigned(ca, { names });
      return diagnose(url, [], { ROLLCALL_CA_FILE: caFile, ROLLCALL_CERT_FILE: certFile, ROLLCALL_KEY_FILE: keyFile });
    };
    finding(await shown(), 'access-forbidden', /403 FORBIDDEN/, /URI:rollcall/);
    finding(await shown('URI:rollcall:reader'), 'certificate-expiring', /tls\.expiresAt 2\d{3}-/, /new certificate/);
  });
});

it('provokes every code of this file', () => {
  const here = [...provoked].filter((code) => CONNECTION_CODES.includes(code));
  expect(here.toSorted()).toEqual([...CONNECTION_CODES].toSorted());
});
