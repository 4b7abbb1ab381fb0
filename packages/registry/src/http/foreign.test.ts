import { createHmac, randomUUID } from 'node:crypto';
import { createServer as createHttpServer, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestRegistry } from '../testing.js';

// A client can be written from docs/PROTOCOL.md alone: this one uses node:http and node:net, and no code of the
// project.

let registry: { readonly url: string; close(): Promise<void> };
const leftovers: { close(): unknown }[] = [];

beforeEach(async () => {
  registry = await startTestRegistry();
});
afterEach(async () => {
  for (const leftover of leftovers.splice(0)) leftover.close();
  await registry.close();
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: any;
}

function send(method: string, path: string, body?: unknown, secret?: string | Record<string, string>): Promise<Answer> {
  const headers: Record<string, string> = typeof secret === 'object' ? secret : {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (typeof secret === 'string') headers['authorization'] = `Bearer ${secret}`;
  return new Promise((resolve, reject) => {
    const sent = request(registry.url + path, { method, headers, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => {
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          body: text === '' ? null : JSON.parse(text),
        });
      });
    });
    sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

interface Event {
  readonly event: string;
  readonly data: any;
}

/** A stream of events, parsed by hand. */
class Feed {
  /** The events of complete flushes. */
  readonly events: Event[] = [];
  lastId = '';
  readonly #flush: Event[] = [];
  #look = (): void => {};
  readonly #request;
  readonly opened: Promise<number>;

  constructor(query: string, headers: Record<string, string> = {}) {
    this.#request = request(`${registry.url}/api/v1/watch?${query}`, { headers, agent: false });
    this.opened = new Promise((resolve, reject) => {
      this.#request.on('error', reject).on('response', (response) => {
        resolve(response.statusCode!);
        let rest = '';
        response.setEncoding('utf8').on('error', () => {});
        response.on('data', (part: string) => {
          const blocks = (rest + part).split('\n\n');
          rest = blocks.pop()!;
          for (const block of blocks) this.#take(block);
          this.#look();
        });
      });
    });
    this.#request.end();
    leftovers.push(this);
  }

  /** Resolves with the first past or future event that matches. */
  async find(fits: (event: Event) => boolean): Promise<Event> {
    for (;;) {
      const found = this.events.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#look = resolve));
    }
  }

  /** Resolves once the instance has this state. */
  async reaches(id: string, state: string): Promise<any> {
    const isIt = (row: any): boolean => row.id === id && row.state === state;
    return rowsOf(await this.find((event) => rowsOf(event).some(isIt))).find(isIt);
  }

  close(): void {
    this.#request.destroy();
  }

  #take(block: string): void {
    const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]));
    if (fields.has('event')) this.#flush.push({ event: fields.get('event')!, data: JSON.parse(fields.get('data')!) });
    if (!fields.has('id')) return;
    this.lastId = fields.get('id')!;
    this.events.push(...this.#flush.splice(0));
  }
}

function rowsOf({ data }: Event): any[] {
  return [...(data.upsert ?? []), ...(data.instances ?? [])];
}

/** A process of a service: answers Heartbeat-1 and sends Heartbeat-2 by itself. */
class Service {
  readonly id = `orders-${randomUUID()}`;
  readonly secret = randomUUID();
  readonly calls: any[] = [];
  readonly #callKey = createHmac('sha256', this.secret).update('rollcall-call').digest();
  readonly #server: Server;
  readonly #protocol: 'tcp' | 'http';
  #seq = 0;
  #called = (): void => {};

  constructor(protocol: 'tcp' | 'http') {
    this.#protocol = protocol;
    this.#server = protocol === 'tcp' ? createServer((socket) => this.#onFrames(socket)) : this.#httpServer();
    leftovers.push(this);
  }

  async start(): Promise<Answer> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this.register();
  }

  register(changes: object = {}): Promise<Answer> {
    const { port } = this.#server.address() as AddressInfo;
    const endpoints = [{ protocol: this.#protocol, port }];
    return send('POST', '/api/v1/register', {
      id: this.id,
      service: 'orders',
      endpoints,
      secret: this.secret,
      ...changes,
    });
  }

  beat(nonce: string | null, secret = this.secret): Promise<Answer> {
    this.#seq += 1;
    return send('POST', `/api/v1/instances/${this.id}/heartbeat`, { nonce, seq: this.#seq }, secret);
  }

  /** Resolves with the next call of the registry. */
  async nextCall(): Promise<any> {
    const known = this.calls.length;
    while (this.calls.length === known) await new Promise<void>((resolve) => (this.#called = resolve));
    return this.calls.at(-1);
  }

  close(): void {
    this.#server.close();
  }

  #answer(call: any): object {
    const signed = `${call.replica}|${call.instance}|${call.nonce}|${call.purpose}`;
    expect(call.mac).toBe(createHmac('sha256', this.#callKey).update(signed).digest('hex'));
    this.calls.push(call);
    this.#called();
    void this.beat(call.nonce).catch(() => {});
    return { instance: this.id, nonce: call.nonce };
  }

  /** Nest's framing: the length in UTF-16 units, `#`, JSON. */
  #onFrames(socket: Socket): void {
    let received = '';
    socket.setEncoding('utf8').on('error', () => {});
    socket.on('data', (part: string) => {
      received += part;
      const [, length, rest] = /^(\d+)#(.*)$/s.exec(received) ?? [];
      if (rest === undefined || rest.length < Number(length)) return;
      const { pattern, data, id } = JSON.parse(rest);
      expect(pattern).toBe('rollcall.heartbeat-1');
      const text = JSON.stringify({ response: this.#answer(data), isDisposed: true, id });
      socket.end(`${text.length}#${text}`);
    });
  }

  #httpServer(): Server {
    return createHttpServer((received, response) => {
      let text = '';
      received.on('data', (part) => (text += part));
      received.on('end', () => {
        expect([received.method, received.url]).toEqual(['POST', '/.well-known/rollcall/heartbeat-1']);
        response.setHeader('content-type', 'application/json').setHeader('connection', 'close');
        response.end(JSON.stringify(this.#answer(JSON.parse(text))));
      });
    });
  }
}

describe('a foreign service', () => {
  it.each(['tcp', 'http'] as const)('over %s is HEALTHY once both directions are proved', async (protocol) => {
    const feed = new Feed('service=orders');
    const service = new Service(protocol);
    const answer = await service.start();
    expect(answer).toMatchObject({
      status: 201,
      body: {
        instance: { id: service.id, state: 'REGISTERING', endpoints: [{ protocol, host: '127.0.0.1', tls: false }] },
        heartbeat: { intervalMs: 250, timeoutMs: 100, freshEvery: 1 },
        registries: [registry.url],
        epoch: expect.stringMatching(/^[0-9a-f-]{36}$/),
      },
    });
    expect(answer.body).not.toHaveProperty('secret');
    expect(await feed.reaches(service.id, 'HEALTHY')).toMatchObject({ reason: { code: 'BOTH_WAYS_OK' } });
    expect(service.calls[0]).toMatchObject({ instance: service.id, purpose: 'urgent' });
  });

  it('may send its registration again, but no other process may', async () => {
    const service = new Service('tcp');
    await service.start();
    expect(await service.register({ version: '2' })).toMatchObject({
      status: 201,
      body: { instance: { version: '2' } },
    });
    expect(await service.register({ secret: randomUUID() })).toMatchObject({ status: 409, body: { code: 'ID_HELD' } });
    expect(await service.register({ service: 'users' })).toMatchObject({ status: 409, body: { code: 'ID_HELD' } });
  });

  it('gets a secret if it sends none, and proves itself with it', async () => {
    const service = new Service('tcp');
    await service.start();
    const endpoints = [{ protocol: 'tcp', port: 9 }];
    const { body } = await send('POST', '/api/v1/register', { id: 'users-1', service: 'users', endpoints });
    expect(body.secret).toMatch(/^[A-Za-z0-9_-]{22,128}$/);
    const path = '/api/v1/instances/users-1/heartbeat';
    expect((await send('POST', path, { nonce: null, seq: 1 }, body.secret)).status).toBe(200);
    expect((await send('POST', path, { nonce: null, seq: 2 })).status).toBe(401);
    expect((await send('POST', path, { nonce: null, seq: 2 }, service.secret)).status).toBe(401);
  });

  it('may not register the address of another host', async () => {
    const endpoints = [{ protocol: 'tcp', host: '169.254.169.254', port: 80 }];
    const answer = await send('POST', '/api/v1/register', { id: 'a-1', service: 'a', endpoints });
    expect(answer).toMatchObject({ status: 422, body: { code: 'ADDRESS_NOT_ALLOWED', fix: expect.any(String) } });
    expect((await send('GET', '/api/v1/services')).body.services).toEqual([]);
  });

  it('is called at once when its line ends, and when a caller suspects it', async () => {
    const feed = new Feed('service=orders');
    const service = new Service('tcp');
    await service.start();
    await feed.reaches(service.id, 'HEALTHY');
    const line = new Feed(`instance=${service.id}`, { authorization: `Bearer ${service.secret}` });
    expect(await line.opened).toBe(200);
    const called = service.nextCall();
    line.close();
    expect(await called).toMatchObject({ instance: service.id });
    const again = service.nextCall();
    const report = { by: 'gateway', outcome: 'timeout' };
    expect((await send('POST', `/api/v1/instances/${service.id}/suspect`, report)).status).toBe(202);
    expect(await again).toMatchObject({ instance: service.id });
  });

  it('is CRITICAL by proof when it dies', async () => {
    const feed = new Feed('service=orders');
    const service = new Service('tcp');
    await service.start();
    await feed.reaches(service.id, 'HEALTHY');
    const line = new Feed(`instance=${service.id}`, { authorization: `Bearer ${service.secret}` });
    await line.opened;
    service.close();
    line.close();
    expect(await feed.reaches(service.id, 'CRITICAL')).toMatchObject({ reason: { code: 'PROOF_OF_DEATH' } });
  });

  it('drains, leaves, and never comes back', async () => {
    const feed = new Feed('service=orders');
    const service = new Service('tcp');
    await service.start();
    await feed.reaches(service.id, 'HEALTHY');
    const path = `/api/v1/instances/${service.id}`;
    expect(await send('POST', `${path}/drain`, { deadlineMs: 60_000 })).toMatchObject({ status: 401 });
    const drained = await send('POST', `${path}/drain`, { deadlineMs: 60_000 }, service.secret);
    expect(drained).toMatchObject({ status: 202, body: { watchers: 1 } });
    expect(await feed.reaches(service.id, 'DEREGISTERING')).toMatchObject({ reason: { code: 'LEAVING' } });
    expect(await service.register()).toMatchObject({ status: 409, body: { code: 'LEAVING' } });
    expect((await send('DELETE', path)).status).toBe(401);
    expect((await send('DELETE', path, undefined, service.secret)).status).toBe(204);
    const { data } = await feed.find((event) => event.data.remove?.[0]?.id === service.id);
    expect(data.remove[0].reason.code).toBe('GOODBYE');
    expect((await service.beat(null)).status).toBe(410);
    expect((await service.register()).status).toBe(410);
    expect((await send('GET', path)).status).toBe(410);
  });

  it('can be removed by an operator, which its line reports', async () => {
    const service = new Service('tcp');
    await service.start();
    const line = new Feed(`instance=${service.id}`, { authorization: `Bearer ${service.secret}` });
    await line.opened;
    const removed = await send('DELETE', `/api/v1/instances/${service.id}`, undefined, { 'x-rollcall-operator': '1' });
    expect(removed.status).toBe(204);
    expect(await line.find(({ event }) => event === 'gone')).toMatchObject({
      data: { id: service.id, reason: { code: 'OPERATOR' } },
    });
  });
});

describe('a foreign watcher', () => {
  it('gets the whole view, then changes, and resumes from its cursor', async () => {
    const [one, other] = [new Service('tcp'), new Service('http')];
    const first = new Feed('service=orders');
    for (const service of [one, other]) {
      await service.start();
      await first.reaches(service.id, 'HEALTHY');
    }
    expect(first.events.map(({ event }) => event)).toEqual(expect.arrayContaining(['status', 'reset', 'change']));
    expect(first.events.find(({ event }) => event === 'reset')).toMatchObject({
      data: { service: 'orders', namespace: 'default', part: 0, complete: true, removed: [] },
    });
    first.close();
    await one.register({ version: '2' });
    const second = new Feed('service=orders&resume=orders', { 'last-event-id': first.lastId });
    const { event, data } = await second.find((found) => found.event !== 'status');
    expect(event).toBe('change');
    expect(data.upsert.map(({ id, version }: any) => [id, version])).toEqual([[one.id, '2']]);
  });

  it('gets the whole view again if its cursor is of another epoch', async () => {
    const service = new Service('tcp');
    await service.start();
    const feed = new Feed('service=orders&resume=orders', { 'last-event-id': `${randomUUID()}.1` });
    expect(await feed.find((one) => one.event !== 'status')).toMatchObject({ event: 'reset' });
  });

  it('cannot hold a line without the secret', async () => {
    const service = new Service('tcp');
    await service.start();
    expect(await new Feed(`instance=${service.id}`).opened).toBe(401);
    expect(await new Feed('instance=nobody-1', { authorization: `Bearer ${service.secret}` }).opened).toBe(404);
  });
});

describe('a foreign reader', () => {
  it('finds services, instances and the registry itself', async () => {
    const feed = new Feed('service=*');
    const service = new Service('tcp');
    await service.start();
    await feed.reaches(service.id, 'HEALTHY');
    expect((await send('GET', '/api/v1/services')).body.services).toMatchObject([
      { name: 'orders', namespace: 'default', instances: 1, states: { HEALTHY: 1, CRITICAL: 0 } },
    ]);
    const { body: view } = await send('GET', '/api/v1/services/orders?state=HEALTHY');
    expect(view).toMatchObject({ service: 'orders', instances: [{ id: service.id }], removed: [] });
    const { body: instance } = await send('GET', `/api/v1/instances/${service.id}`);
    expect(instance).toMatchObject({
      id: service.id,
      heartbeats: { heartbeat1: { misses: 0, error: null }, heartbeat2: { lastSuccessAgoMs: expect.any(Number) } },
    });
    const { body } = await send('GET', '/api/v1/registry');
    expect(body).toMatchObject({
      epoch: view.epoch,
      instances: 1,
      watchers: 1,
      store: { name: 'memory' },
      insecure: false,
    });
    expect(JSON.stringify([view, instance, body])).not.toContain(service.secret);
    expect((await send('GET', '/health/ready')).status).toBe(200);
    expect((await send('GET', '/openapi.json')).body.openapi).toMatch(/^3\.1/);
  });

  it('learns that a service does not exist only once that is certain', async () => {
    const answer = await send('GET', '/api/v1/services/ordres');
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' }, body: { code: 'NOT_READY' } });
  });
});
