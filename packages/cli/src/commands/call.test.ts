import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Testbed } from '../testbed.fixture.js';
import type { TestService } from '../testbed.fixture.js';
import { parseRequest } from './call.js';

const respondAs =
  (name: string) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    if (request.url === '/broken') response.statusCode = 500;
    if (request.url === '/moved') response.writeHead(302, { location: '/orders' });
    if (request.url === '/headers') return void response.end(JSON.stringify(request.headers));
    response.end(`${name} ${request.method ?? ''} ${request.url ?? ''}`);
  };

describe('parseRequest', () => {
  it('parses a message, and a request over HTTP', () => {
    expect(parseRequest(['orders', 'find'])).toEqual({ service: 'orders', verb: null, pattern: 'find', data: {} });
    expect(parseRequest(['orders', '{"cmd":"find"}', '7'])).toMatchObject({ pattern: { cmd: 'find' }, data: 7 });
    const http = { service: 'web', verb: 'POST', path: '/orders', body: '{"id":7}' };
    expect(parseRequest(['web', 'POST', '/orders', '{"id":7}'])).toEqual(http);
    expect(parseRequest(['web', 'POST /orders', '{"id":7}'])).toEqual(http);
    // a pattern may be called as a method is
    expect(parseRequest(['orders', 'GET', '{"id":7}'])).toMatchObject({ verb: null, pattern: 'GET' });
  });

  it.each([
    [['orders', 'find', '{id:7}'], 'payload is not JSON'],
    [['orders', '{cmd}'], 'pattern is not JSON'],
    [['web', 'POST', '/orders', 'x'], 'body is not JSON'],
    [['orders', 'find', '{}', '{}'], 'one word too many'],
  ])('refuses %j', (operands, why) => {
    expect(() => parseRequest(operands)).toThrow(why);
  });
});

describe('rollcall call', () => {
  let testbed: Testbed;
  const services: TestService[] = [];

  beforeAll(async () => {
    testbed = await Testbed.start();
    for (const name of ['first', 'second']) services.push(await testbed.startService('web', respondAs(name)));
  });
  afterAll(() => testbed.close());

  it('prints the answer, and on standard error the instance', async () => {
    const { code, out, err } = await testbed.run('call', 'web', 'GET', '/orders/7');
    expect(code).toBe(0);
    expect(out).toMatch(/^(first|second) GET \/orders\/7$/);
    expect(err).toMatch(/^HTTP 200, web….{4,}, [\d.]+ ms$/);
  });

  it('sends each header of a repeated --header', async () => {
    const lines = ['x-one: 1', 'Accept-Language:de', 'x-many: a', 'X-Many: b', 'content-type: text/plain', 'x-empty:'];
    const flags = lines.flatMap((line) => ['--header', line]);
    const { code, out } = await testbed.run('call', 'web', 'POST', '/headers', '{"id":7}', ...flags);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      'x-one': '1',
      'accept-language': 'de',
      'x-many': 'a, b',
      'content-type': 'text/plain',
      'x-empty': '',
    });
    const plain = await testbed.run('call', 'web', 'POST', '/headers', '{"id":7}');
    expect(JSON.parse(plain.out)).toMatchObject({ 'content-type': 'application/json' });
  });

  it.each([
    [['GET', '/', '--header', 'authorization Bearer secret'], "--header 'name: value'"],
    [['GET', '/', '--header', 'x: secret\nsecret: y'], 'on one line'],
    [['GET', '/', '--header', 'host: secret'], 'host is set by the connection itself'],
    [['find', '{}', '--header', 'x: secret'], 'a Nest message over TCP carries no headers'],
  ])('refuses %j without repeating a value', async (operands, why) => {
    const { code, err } = await testbed.run('call', 'web', ...operands);
    expect([code, err]).toEqual([2, expect.stringContaining(why)]);
    expect(err).not.toContain('secret');
  });

  it('shows a redirect as the answer', async () => {
    const { code, err } = await testbed.run('call', 'web', 'GET', '/moved');
    expect([code, err]).toEqual([0, expect.stringMatching(/^HTTP 302/)]);
  });

  it('calls only the instance of --instance, also while it is drained', async () => {
    const id = services[1]?.id ?? '';
    await testbed.run('drain', id);
    for (let time = 0; time < 4; time += 1) {
      const { out } = await testbed.run('call', 'web', 'GET', '/', '--instance', id, '-o', 'json');
      expect(JSON.parse(out)).toMatchObject({ instance: id, status: 200, answer: 'second GET /' });
    }
    await testbed.run('undrain', id);
  });

  it('resolves a name of --instance with its namespace, as ls prints it', async () => {
    const far = await testbed.startService('web', respondAs('far'), 'staging');
    const printed = `web…${far.id.slice(-8)}`;
    const { out } = await testbed.run('call', 'web', 'GET', '/', '--instance', `staging/${printed}`, '-o', 'json');
    expect(JSON.parse(out)).toMatchObject({ instance: far.id, answer: 'far GET /' });
    const id = services[1]?.id ?? '';
    const here = await testbed.run('call', 'web', 'GET', '/', '--instance', `default/${id}`, '-o', 'json');
    expect(JSON.parse(here.out)).toMatchObject({ instance: id });
    expect(await testbed.run('call', 'web', 'GET', '/', '--instance', `default/${printed}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('no instance'),
    });
    expect(await testbed.run('call', 'web', 'GET', '/', '--instance', `nope/${printed}`)).toMatchObject({
      code: 1,
      err: expect.stringContaining('no namespace "nope"'),
    });
    await far.close();
  });

  it('prints a table of counts, durations and instances with -n', async () => {
    const { code, out } = await testbed.run('call', 'web', 'GET', '/', '-n', '40', '-c', '4');
    expect(code).toBe(0);
    const [sum, head, ...rows] = out.split('\n');
    expect(sum).toMatch(/^calls 40 {2}failed 0 {2}went elsewhere 0 {2}p50 [\d.]+ ms {2}p99 [\d.]+ ms /);
    expect(head).toMatch(/^INSTANCE +ATTEMPTS +FAILED +P50 +P99$/);
    expect(rows.reduce((total, row) => total + Number(row.split(/ {2,}/)[1]), 0)).toBe(40);
  });

  it('fails if its one call, or one of many, fails', async () => {
    expect(await testbed.run('call', 'web', 'GET', '/broken')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^HTTP 500/),
    });
    const { code, out } = await testbed.run('call', 'web', 'GET', '/broken', '-n', '3', '-o', 'json');
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ calls: 3, failed: 3, errors: [{ text: 'HTTP 500', times: 3 }] });
  });

  it('names the protocol without an endpoint', async () => {
    expect(await testbed.run('call', 'web', 'find', '--deadline', '200ms')).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/^rollcall call: /),
    });
  });

  it('suggests the right name of a mistyped service, and the existing instances', async () => {
    expect(await testbed.run('call', 'wbe', 'GET', '/')).toMatchObject({
      code: 1,
      err: expect.stringContaining('Did you mean web?'),
    });
    const unknown = await testbed.run('call', 'web', 'GET', '/', '--instance', 'unknown');
    expect(unknown).toMatchObject({ code: 1, err: expect.stringContaining('There is no instance "unknown"') });
  });

  it('refuses a deadline that is not a duration, and a call without a pattern', async () => {
    expect(await testbed.run('call', 'web', 'GET', '/', '--deadline', 'soon')).toMatchObject({
      code: 2,
      err: expect.stringContaining('500ms, 90s, 30m, 2h or 1d'),
    });
    expect(await testbed.run('call', 'web')).toMatchObject({ code: 2, err: expect.stringContaining('call <service>') });
  });

  it('exits with 3 if the registry is unreachable', async () => {
    const { code, err } = await testbed.run('call', 'web', 'GET', '/', '--url', 'http://127.0.0.1:1');
    expect({ code, err }).toEqual({ code: 3, err: expect.stringContaining('npx rollcall up') });
  });
});
