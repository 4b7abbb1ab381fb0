import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Town } from '../town.fixture.js';
import type { TownService } from '../town.fixture.js';
import { wishOf } from './call.js';

const answering =
  (name: string) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    if (request.url === '/broken') response.statusCode = 500;
    if (request.url === '/moved') response.writeHead(302, { location: '/orders' });
    if (request.url === '/headers') return void response.end(JSON.stringify(request.headers));
    response.end(`${name} ${request.method ?? ''} ${request.url ?? ''}`);
  };

describe('what is asked of a service', () => {
  it('is a message, or a request over HTTP', () => {
    expect(wishOf(['orders', 'find'])).toEqual({ service: 'orders', verb: null, pattern: 'find', data: {} });
    expect(wishOf(['orders', '{"cmd":"find"}', '7'])).toMatchObject({ pattern: { cmd: 'find' }, data: 7 });
    const http = { service: 'web', verb: 'POST', path: '/orders', body: '{"id":7}' };
    expect(wishOf(['web', 'POST', '/orders', '{"id":7}'])).toEqual(http);
    expect(wishOf(['web', 'POST /orders', '{"id":7}'])).toEqual(http);
    // a pattern may be called as a method is
    expect(wishOf(['orders', 'GET', '{"id":7}'])).toMatchObject({ verb: null, pattern: 'GET' });
  });

  it.each([
    [['orders', 'find', '{id:7}'], 'payload is no JSON'],
    [['orders', '{cmd}'], 'pattern is no JSON'],
    [['web', 'POST', '/orders', 'x'], 'body is no JSON'],
    [['orders', 'find', '{}', '{}'], 'one word too many'],
  ])('%j is refused', (words, why) => {
    expect(() => wishOf(words)).toThrow(why);
  });
});

describe('rollcall call', () => {
  let town: Town;
  const services: TownService[] = [];

  beforeAll(async () => {
    town = await Town.start();
    for (const name of ['first', 'second']) services.push(await town.serve('web', answering(name)));
  });
  afterAll(() => town.close());

  it('prints the answer, and beside it who gave it', async () => {
    const { code, out, err } = await town.run('call', 'web', 'GET', '/orders/7');
    expect(code).toBe(0);
    expect(out).toMatch(/^(first|second) GET \/orders\/7$/);
    expect(err).toMatch(/^HTTP 200, web….{4,}, [\d.]+ ms$/);
  });

  it('--header sends it, as often as it is there', async () => {
    const lines = ['x-one: 1', 'Accept-Language:de', 'x-many: a', 'X-Many: b', 'content-type: text/plain', 'x-empty:'];
    const flags = lines.flatMap((line) => ['--header', line]);
    const { code, out } = await town.run('call', 'web', 'POST', '/headers', '{"id":7}', ...flags);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      'x-one': '1',
      'accept-language': 'de',
      'x-many': 'a, b',
      'content-type': 'text/plain',
      'x-empty': '',
    });
    const plain = await town.run('call', 'web', 'POST', '/headers', '{"id":7}');
    expect(JSON.parse(plain.out)).toMatchObject({ 'content-type': 'application/json' });
  });

  it.each([
    [['GET', '/', '--header', 'authorization Bearer secret'], "--header 'name: value'"],
    [['GET', '/', '--header', 'x: secret\nsecret: y'], 'on one line'],
    [['GET', '/', '--header', 'host: secret'], 'host is said by the connection itself'],
    [['find', '{}', '--header', 'x: secret'], 'a Nest message over TCP carries no headers'],
  ])('%j is refused, and no value repeated', async (words, why) => {
    const { code, err } = await town.run('call', 'web', ...words);
    expect([code, err]).toEqual([2, expect.stringContaining(why)]);
    expect(err).not.toContain('secret');
  });

  it('shows a redirect as the answer', async () => {
    const { code, err } = await town.run('call', 'web', 'GET', '/moved');
    expect([code, err]).toEqual([0, expect.stringMatching(/^HTTP 302/)]);
  });

  it('--instance calls just that one, each time, also while it is drained', async () => {
    const id = services[1]?.id ?? '';
    await town.run('drain', id);
    for (let time = 0; time < 4; time += 1) {
      const { out } = await town.run('call', 'web', 'GET', '/', '--instance', id, '-o', 'json');
      expect(JSON.parse(out)).toMatchObject({ instance: id, status: 200, answer: 'second GET /' });
    }
    await town.run('undrain', id);
  });

  it('--instance takes a name as ls prints it where there are several namespaces, and looks it up there', async () => {
    const far = await town.serve('web', answering('far'), 'staging');
    const printed = `web…${far.id.slice(-8)}`;
    const { out } = await town.run('call', 'web', 'GET', '/', '--instance', `staging/${printed}`, '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({ instance: far.id, answer: 'far GET /' });
    const id = services[1]?.id ?? '';
    const here = await town.run('call', 'web', 'GET', '/', '--instance', `default/${id}`, '-o', 'json');
    expect(JSON.parse(here.out)).toMatchObject({ instance: id });
    expect(await town.run('call', 'web', 'GET', '/', '--instance', `default/${printed}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('no instance'),
    });
    expect(await town.run('call', 'web', 'GET', '/', '--instance', `nope/${printed}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('no namespace "nope"'),
    });
    await far.close();
  });

  it('-n is a table: how many, how fast, at whom', async () => {
    const { code, out } = await town.run('call', 'web', 'GET', '/', '-n', '40', '-c', '4');
    expect(code).toBe(0);
    const [sum, head, ...rows] = out.split('\n');
    expect(sum).toMatch(/^calls 40 {2}failed 0 {2}went elsewhere 0 {2}p50 [\d.]+ ms {2}p99 [\d.]+ ms /);
    expect(head).toMatch(/^INSTANCE +ATTEMPTS +FAILED +P50 +P99$/);
    expect(rows.reduce((total, row) => total + Number(row.split(/ {2,}/)[1]), 0)).toBe(40);
  });

  it('fails where a call fails: once, or one of many', async () => {
    expect(await town.run('call', 'web', 'GET', '/broken')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^HTTP 500/),
    });
    const { code, out } = await town.run('call', 'web', 'GET', '/broken', '-n', '3', '-o', 'json');
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ calls: 3, failed: 3, errors: [{ text: 'HTTP 500', times: 3 }] });
  });

  it('says which way there is no endpoint for', async () => {
    expect(await town.run('call', 'web', 'find', '--deadline', '200ms')).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/^rollcall call: /),
    });
  });

  it('knows what was meant by a mistyped service, and which instances there are', async () => {
    expect(await town.run('call', 'wbe', 'GET', '/')).toMatchObject({
      code: 1,
      err: expect.stringContaining('Did you mean web?'),
    });
    const nobody = await town.run('call', 'web', 'GET', '/', '--instance', 'nobody');
    expect(nobody).toMatchObject({ code: 1, err: expect.stringContaining('There is no instance "nobody"') });
  });

  it('refuses a deadline that is no time, and a call without a pattern', async () => {
    expect(await town.run('call', 'web', 'GET', '/', '--deadline', 'soon')).toMatchObject({
      code: 2,
      err: expect.stringContaining('500ms, 90s, 30m, 2h or 1d'),
    });
    expect(await town.run('call', 'web')).toMatchObject({ code: 2, err: expect.stringContaining('call <service>') });
  });

  it('is told apart from a registry that is away', async () => {
    const { code, err } = await town.run('call', 'web', 'GET', '/', '--url', 'http://127.0.0.1:1');
    expect({ code, err }).toEqual({ code: 3, err: expect.stringContaining('npx rollcall up') });
  });
});
