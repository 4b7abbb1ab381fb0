// Requests that never reach a route are refused like all others: with a problem document.
import { recordingLog } from '@rollcall/core/testing';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { startTestRegistry } from '../../testing.js';

async function dial(): Promise<{ url: string; socket: Socket; received: () => string }> {
  const registry = await startTestRegistry({ log: recordingLog() });
  onTestFinished(() => registry.close());
  const socket = connect({ port: registry.port, host: '127.0.0.1', allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  let text = '';
  socket.setEncoding('utf8').on('data', (part: string) => (text += part));
  return { url: registry.url, socket, received: () => text };
}

/** Everything that the registry answers to this text, until it closes the connection. */
async function converse(text: string): Promise<string> {
  const { socket, received } = await dial();
  socket.write(text);
  await once(socket, 'end');
  return received();
}

function problemIn(answer: string): unknown {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  expect(head).toMatch(/^content-type: application\/problem\+json/im);
  expect(head).toMatch(/^connection: close/im);
  expect(head).toMatch(/^x-content-type-options: nosniff/im);
  return JSON.parse(body);
}

const texts = { detail: expect.any(String), fix: expect.any(String) };

it('refuses a proxy request', async () => {
  const answer = await converse('CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n');
  expect(problemIn(answer)).toMatchObject({ ...texts, status: 405, code: 'METHOD_NOT_ALLOWED' });
  expect(answer).toMatch(/^HTTP\/1\.1 405 [^]*\r\nallow: GET, /);
});

it('refuses an unknown expectation', async () => {
  const answer = await converse('GET /api/v1/services HTTP/1.1\r\nhost: localhost\r\nexpect: a miracle\r\n\r\n');
  expect(problemIn(answer)).toMatchObject({
    ...texts,
    status: 400,
    code: 'INVALID',
    flaws: [{ path: 'Expect', received: 'a miracle' }],
  });
});

it.each([
  ['content-encoding: gzip', /Content-Encoding/],
  ['content-encoding: identity, br', /Content-Encoding/],
  ['content-type: application/json; charset=utf-7', /UTF-8/],
])('refuses a body in an unsupported coding: %s', async (header, fix) => {
  const typed = header.startsWith('content-type') ? header : `content-type: application/json\r\n${header}`;
  const answer = await converse(
    `POST /api/v1/register HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${typed}\r\ncontent-length: 2\r\n\r\n{}`,
  );
  const body: unknown = JSON.parse(answer.split('\r\n\r\n')[1] ?? '');
  expect(body).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE', fix: expect.stringMatching(fix) });
});

it.each(['utf-8', '"UTF-8"', 'utf8', 'us-ascii'])('accepts a body in %s', async (charset) => {
  const answer = await converse(
    `POST /api/v1/register HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json; x=1; charset=${charset}\r\ncontent-length: 2\r\n\r\n{}`,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
});

it('answers 100-continue', async () => {
  const answer = await converse(
    'POST /api/v1/register HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n{}',
  );
  expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 400 /);
});

it('refuses input that is not HTTP', async () => {
  expect(problemIn(await converse('HELO there\r\n\r\n'))).toMatchObject({ ...texts, status: 400, code: 'INVALID' });
});

it('refuses a request that is not completed', async () => {
  const answer = await converse('GET /api/v1/services HTTP/1.1\r\nhost: localhost\r\nx-slow: ');
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  expect(problemIn(answer)).toMatchObject({ ...texts, status: 408, code: 'TOO_SLOW' });
});

it.each([
  [
    'a request to be a proxy',
    'CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n',
    'METHOD_NOT_ALLOWED',
  ],
  ['input that is not HTTP', 'HELO there\r\n\r\n', 'INVALID'],
  ['headers that are too long', `GET / HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 'TOO_LARGE'],
])('counts the refusal: %s', async (_, text, code) => {
  const { url, socket } = await dial();
  socket.write(text);
  await once(socket, 'end');
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain(`\nrollcall_registry_refusals_total{code="${code}"} 1\n`);
});
