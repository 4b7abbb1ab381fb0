import { noMeter, systemTime } from '@rollcall/core';
import { recordingLog } from '@rollcall/core/testing';
import { once } from 'node:events';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { SECRET } from '../../registry.fixture.js';
import { diskStore } from '../../store/disk/disk.js';
import { startRegistry } from '../start.js';
import { ENDPOINT, guarded } from './authorization.fixture.js';
import { OPEN_ENTRANCE, TokenEntrance } from './authorization.js';

describe('the access log', () => {
  it('records actor, action, source and reason, as does the history', async () => {
    const registry = await guarded();
    const service = await registry.token({ role: 'service', services: ['orders'] });
    const operator = await registry.token({ role: 'operator' });
    await registry.start();
    const { id } = await registry.enrol(service.text);
    const path = `/api/v1/instances/${id}`;
    const from = '127.0.0.7';
    await registry.ask(path, {
      method: 'PATCH',
      from,
      bearer: operator.text,
      body: { admin: 'DRAINING', reason: 'new cable' },
    });
    await registry.ask(path, { method: 'DELETE', from, bearer: service.text });
    await registry.ask(`${path}?reason=leaked%20token`, { method: 'DELETE', from, bearer: operator.text });
    const lines = registry.log.texts().filter((text) => text.startsWith('Access'));
    expect(lines).toEqual([
      expect.stringMatching(
        `^Access: service token ${service.id} from 127\\.1\\.0\\.\\d+: POST /api/v1/register id=${id} service=orders → 201$`,
      ),
      `Access: operator token ${operator.id} from 127.0.0.7: PATCH ${path} admin=DRAINING reason=new cable → 200`,
      `Access refused: service token ${service.id} from 127.0.0.7: DELETE ${path} → 403`,
      `Access: operator token ${operator.id} from 127.0.0.7: DELETE ${path} reason=leaked token → 204`,
    ]);
    const { body } = await registry.ask(`${path}/timeline`, { bearer: operator.text });
    const who = `operator token ${operator.id} from 127.0.0.7`;
    expect(body.events.slice(-2)).toMatchObject([
      { by: 'operator', text: `drained by an operator (${who})`, reason: { text: 'new cable' } },
      { by: 'operator', text: 'removed', reason: { code: 'OPERATOR', text: `removed by ${who}: leaked token` } },
    ]);
  });

  it('records only the reason of a query, and only for actions', async () => {
    const registry = await guarded();
    const service = await registry.token({ role: 'service', services: ['orders'] });
    const operator = await registry.token({ role: 'operator' });
    await registry.start();
    const { id, secret } = await registry.enrol(service.text);
    const query = `?id=${secret}&service=${secret}&reason=`;
    const path = `/api/v1/instances/${id}`;
    await registry.ask(`/api/v1/services${query}${secret}`);
    await registry.ask(path + query + secret, { method: 'DELETE', bearer: service.text });
    await registry.ask(`${path}${query}leaked`, { method: 'DELETE', bearer: operator.text });
    expect(registry.log.texts().join('\n')).not.toContain(secret);
    expect(registry.log.texts().at(-1)).toMatch(/DELETE \S+ reason=leaked → 204$/);
  });

  it('reports the identity of the caller with the registry’s own state', async () => {
    const registry = await guarded();
    const { text, id } = await registry.token();
    await registry.start();
    expect((await registry.ask('/api/v1/registry', { bearer: text })).body.visitor).toEqual({ role: 'reader', id });
  });

  it('records the operator that requested a probe of an instance', async () => {
    const registry = await guarded();
    const service = await registry.token({ role: 'service', services: ['orders'] });
    const operator = await registry.token({ role: 'operator' });
    await registry.start();
    const path = `/api/v1/instances/${(await registry.enrol(service.text)).id}/call`;
    expect((await registry.ask(path, { method: 'POST', bearer: operator.text, from: '127.0.0.7' })).status).toBe(202);
    expect(registry.log.texts().at(-1)).toBe(
      `Access: operator token ${operator.id} from 127.0.0.7: POST ${path} → 202`,
    );
  });

  it('does not let an unauthenticated client write arbitrary text', async () => {
    const registry = await guarded();
    await registry.start();
    await registry.ask(`/api/v1/instances/${encodeURIComponent('x\n2026 error  all is lost\u001b[2J')}`, {
      from: '127.0.0.8',
    });
    for (let round = 0; round < 200; round += 1)
      await registry.ask('/api/v1/services', { from: `127.0.9.${round + 1}` });
    const lines = registry.log.texts('warn').filter((text) => text.startsWith('Access refused'));
    expect(lines.length).toBeLessThan(100);
    for (const text of lines) expect(text).toMatch(/^[\x20-\x7e→]{1,400}$/);
  });
});

describe('a source that fails too often', () => {
  it('has to wait, while valid tokens from the same source and failures of other sources are answered as before', async () => {
    const registry = await guarded();
    const reader = await registry.token();
    await registry.start();
    const from = '127.0.0.5';
    const wrong = (source: string) => registry.ask('/api/v1/services', { bearer: 'rct_wrong', from: source });
    const statuses: number[] = [];
    for (let round = 0; round < 40; round += 1) statuses.push((await wrong(from)).status);
    expect(statuses.slice(0, 30)).toEqual(Array<number>(30).fill(401));
    expect(statuses.at(-1)).toBe(429);
    const refused = await wrong(from);
    expect(refused).toMatchObject({ status: 429, body: { code: 'TOO_MANY', status: 429 } });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(refused.headers['www-authenticate']).toBeUndefined();
    expect((await registry.ask('/api/v1/services', { bearer: reader.text, from })).status).toBe(200);
    expect((await wrong('127.0.0.6')).status).toBe(401);
  });

  it('by heartbeats has to wait too, and heartbeats with the right secret continue', async () => {
    const registry = await guarded();
    const service = await registry.token({ role: 'service', services: ['*'] });
    await registry.start();
    const { id, secret } = await registry.enrol(service.text);
    const from = '127.0.0.5';
    const beat = (bearer: string, seq: number) =>
      registry.ask(`/api/v1/instances/${id}/heartbeat`, { method: 'POST', bearer, from, body: { nonce: null, seq } });
    const statuses = new Set<number>();
    for (let round = 0; round < 40; round += 1)
      statuses.add((await beat('a-secret-that-is-just-not-his', round)).status);
    expect([...statuses]).toEqual([401, 429]);
    expect((await beat(secret, 1)).status).toBe(200);
  });
});

describe('a registry that has lost all instances', () => {
  it('asks each of many instances on one host to register again, and slows none down', async () => {
    const registry = await guarded();
    await registry.start();
    const statuses = new Set<number>();
    for (let index = 0; index < 100; index += 1) {
      const path = `/api/v1/instances/orders-${index}`;
      const shown = { bearer: SECRET, from: '127.0.0.5' };
      const beat = { ...shown, method: 'POST', body: { nonce: null, seq: 1 } };
      statuses.add((await registry.ask(`${path}/heartbeat`, beat)).status);
      statuses.add((await registry.ask(`/api/v1/watch?instance=orders-${index}`, shown)).status);
      statuses.add((await registry.ask(path, { ...shown, method: 'DELETE' })).status);
    }
    expect([...statuses]).toEqual([404]);
  });
});

describe('an instance', () => {
  it('is asked to register again when its token is revoked, is not slowed down, and continues unchanged with another token', async () => {
    const registry = await guarded();
    const first = await registry.token({ role: 'service', services: ['orders'] });
    const second = await registry.token({ role: 'service', services: ['orders'] });
    await registry.start();
    const { id, secret } = await registry.enrol(first.text);
    await registry.revoke(first.id);
    await registry.until(first.text, 401);
    const from = '127.0.0.5';
    const beat = (seq: number) =>
      registry.ask(`/api/v1/instances/${id}/heartbeat`, {
        method: 'POST',
        bearer: secret,
        from,
        body: { nonce: null, seq },
      });
    for (let round = 0; round < 40; round += 1)
      expect(await beat(round)).toMatchObject({ status: 401, body: { code: 'TOKEN_LAPSED' } });
    const body = { id, service: 'orders', secret, endpoints: [ENDPOINT] };
    expect((await registry.ask('/api/v1/register', { method: 'POST', bearer: first.text, body })).status).toBe(401);
    expect((await registry.ask('/api/v1/register', { method: 'POST', bearer: second.text, body })).status).toBe(201);
    expect((await beat(100)).status).toBe(200);
  });

  it('keeps its token over a restart of the registry, and the one it was exchanged for', async () => {
    const registry = await guarded();
    const first = await registry.token({ role: 'service', services: ['orders'] });
    const second = await registry.token({ role: 'service', services: ['orders'] });
    const store = () => diskStore({ folder: `${registry.folder}/data`, log: registry.log });
    await registry.start({ store: store() });
    const { id, secret } = await registry.enrol(first.text);
    const other = await registry.enrol(first.text);
    const body = { id, service: 'orders', secret, endpoints: [ENDPOINT] };
    await registry.ask('/api/v1/register', { method: 'POST', bearer: second.text, body });
    await registry.stop();
    await registry.revoke(first.id);
    await registry.start({ store: store() });
    const beat = (of: { id: string; secret: string }) =>
      registry.ask(`/api/v1/instances/${of.id}/heartbeat`, {
        method: 'POST',
        bearer: of.secret,
        body: { nonce: null, seq: 1 },
      });
    expect((await beat({ id, secret })).status).toBe(200);
    expect(await beat(other)).toMatchObject({ status: 401, body: { code: 'TOKEN_LAPSED' } });
  });

  it('needs a token now if it registered while none was required', async () => {
    const registry = await guarded();
    const folder = `${registry.folder}/data`;
    const open = await startRegistry({ port: 0, store: diskStore({ folder, log: registry.log }) });
    const body = JSON.stringify({ id: 'orders-old', service: 'orders', secret: SECRET, endpoints: [ENDPOINT] });
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(`${open.url}/api/v1/register`, { method: 'POST', headers, body })).status).toBe(201);
    await open.close();
    await registry.start({ store: diskStore({ folder, log: registry.log }) });
    const answer = await registry.ask('/api/v1/instances/orders-old/heartbeat', {
      method: 'POST',
      bearer: SECRET,
      body: { nonce: null, seq: 1 },
    });
    expect(answer).toMatchObject({
      status: 401,
      body: { code: 'TOKEN_LAPSED', detail: expect.stringContaining('without a token') },
    });
  });

  it('may not use, or report for, another name or namespace than its token allows', async () => {
    const registry = await guarded();
    const orders = await registry.token({ role: 'service', services: ['orders', 'pay-*'] });
    const billing = await registry.token({ role: 'service', services: ['billing'] });
    await registry.start();
    const register = (body: object) =>
      registry.ask('/api/v1/register', {
        method: 'POST',
        bearer: orders.text,
        body: { id: 'x-1', endpoints: [ENDPOINT], ...body },
      });
    expect(await register({ service: 'billing' })).toMatchObject({
      status: 403,
      body: { detail: `Token ${orders.id} is for orders, pay-*; received billing.` },
    });
    expect((await register({ service: 'orders', namespace: 'shop' })).status).toBe(403);
    expect((await register({ service: 'pay-cards' })).status).toBe(201);
    const { id } = await registry.enrol(orders.text);
    const report = (by: string) =>
      registry.ask(`/api/v1/instances/${id}/suspect`, {
        method: 'POST',
        bearer: billing.text,
        body: { by, outcome: 'timeout' },
      });
    expect((await report(id)).status).toBe(403);
    expect((await report('client-of-billing')).status).toBe(202);
  });
});

describe('a stream', () => {
  it('ends when its token is revoked, also the line of an instance; others stay', async () => {
    const registry = await guarded();
    const reader = await registry.token();
    const service = await registry.token({ role: 'service', services: ['orders'] });
    const stays = await registry.token();
    await registry.start();
    const { id, secret } = await registry.enrol(service.text);
    const open = async (query: string, bearer: string): Promise<IncomingMessage> => {
      const request = get(`${registry.url}/api/v1/watch?${query}`, {
        agent: false,
        headers: { authorization: `Bearer ${bearer}` },
      });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      expect(response.statusCode).toBe(200);
      return response.resume();
    };
    const watch = await open('service=*', reader.text);
    const line = await open(`instance=${id}`, secret);
    const other = await open('service=*', stays.text);
    let isOver = false;
    other.once('close', () => (isOver = true));
    const ends = Promise.all([once(watch, 'end'), once(line, 'end')]);
    await registry.revoke(reader.id);
    await registry.revoke(service.id);
    await ends;
    expect(isOver).toBe(false);
    const { body } = await registry.ask('/api/v1/registry', { bearer: stays.text });
    expect(body.watchers).toBe(1);
    other.destroy();
  });
});

describe('a long poll', () => {
  it('is refused as soon as its token is revoked, and others continue to wait', async () => {
    const registry = await guarded();
    const reader = await registry.token();
    const stays = await registry.token();
    const service = await registry.token({ role: 'service', services: ['orders'] });
    await registry.start({ intervalMs: 60_000 });
    await registry.enrol(service.text);
    const { body } = await registry.ask('/api/v1/services/orders', { bearer: reader.text });
    const path = `/api/v1/services/orders?revision=${body.revision}&waitMs=`;
    const other = registry.ask(`${path}6000`, { bearer: stays.text });
    const poll = registry.ask(`${path}30000`, { bearer: reader.text });
    await registry.revoke(reader.id);
    expect(await poll).toMatchObject({
      status: 401,
      body: { code: 'UNAUTHORIZED', detail: `Token ${reader.id} was revoked.` },
    });
    expect(await other).toMatchObject({ status: 200, body: { service: 'orders' } });
  });
});

describe('a stream whose connection is closed since a certificate may have been revoked', () => {
  it('is ended by the registry, regardless of its token', () => {
    const listeners: (() => void)[] = [];
    const retired = new Set<unknown>();
    const entrance = new TokenEntrance({
      tokens: { find: () => ({ kind: 'none' }), isValid: () => true, onChange: () => {} },
      clients: {
        shownBy: () => null,
        isRetired: (socket) => retired.has(socket),
        onDistrust: (listener) => void listeners.push(listener),
      },
      registry: { instance: () => ({ ok: false, problem: { code: 'NOT_FOUND', detail: '', fix: '' } }) },
      log: recordingLog(),
      time: systemTime,
    });
    const ended: string[] = [];
    const hold = (name: string): object => {
      const request = { headers: {}, query: {}, socket: {} };
      entrance.track(request as never, { token: 'aaaaaaaaaa' }, () => ended.push(name));
      return request.socket;
    };
    const socket = hold('retired');
    hold('with no certificate');
    for (const notify of listeners) notify();
    expect(ended).toEqual([]);
    retired.add(socket);
    for (const notify of listeners) notify();
    expect(ended).toEqual(['retired']);
  });
});

describe('a registry with tokens', () => {
  it('listens on a network without the option insecure', async () => {
    const registry = await guarded();
    await registry.token({ role: 'operator' });
    await registry.start({ host: '0.0.0.0' });
    expect(registry.log.texts('warn')).toEqual([]);
    expect((await registry.ask('/api/v1/services')).status).toBe(401);
  });

  it('does not start with insecure, or without the token file', async () => {
    const registry = await guarded();
    await expect(registry.start({ insecure: true })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(registry.start({ tokens: `${registry.path}.not` })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});

describe('a registry without tokens', () => {
  it('adds nothing to a request', async () => {
    const log = recordingLog();
    const registry = await startRegistry({ port: 0, log, meter: noMeter });
    const answer = await fetch(`${registry.url}/api/v1/registry`, {
      headers: { authorization: 'Bearer rct_whatever' },
    });
    expect(await answer.json()).toMatchObject({
      access: 'open',
      options: { tokens: { value: 'not asked for', source: 'default' } },
    });
    expect(log.texts().filter((text) => text.startsWith('Access'))).toEqual([]);
    await registry.close();
    const request = { headers: {} } as never;
    expect(OPEN_ENTRANCE.registrationRefusal(request, { id: 'a', service: 'a', endpoints: [] })).toBeNull();
  });
});
