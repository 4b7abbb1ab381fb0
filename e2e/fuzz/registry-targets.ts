import {
  GRPC_ANSWERS,
  HTTP_ANSWERS,
  parseTokens,
  printTokens,
  readFields,
  TCP_ANSWERS,
  TokenBook,
  writeFields,
} from '@rollcall/registry/testing';
import type { Answer, Dialect } from '@rollcall/registry/testing';
import { createHash } from 'node:crypto';
import { Draw } from './draw.js';
import { assertRule, assertEqual, textOf } from './target.js';
import type { Target } from './target.js';

// ---- answers to Heartbeat-1 -----------------------------------------------------------------------------------------

const NONCE = 'nonce-12';

/** As on a connection: everything received so far, again and again, until there is an answer. */
function decodeInPieces(dialect: Dialect, all: Buffer): Answer | null {
  const answers = dialect.reader(NONCE);
  for (let length = 1; length <= all.length; length += 1) {
    const answer = answers.read(all.subarray(0, length), false);
    if (answer !== null) return answer;
  }
  return answers.read(all, true);
}

function checkAnswers(dialect: Dialect, bytes: Uint8Array): void {
  const all = Buffer.from(bytes);
  if (all.length > dialect.maxBytes) return;
  const before = Buffer.from(all);
  const whole = dialect.reader(NONCE).read(all, true);
  assertRule(all.equals(before), 'the bytes have changed');
  if (whole !== null && 'nonsense' in whole) assertRule(whole.nonsense.length <= 200, 'it repeats the input');
  else if (whole !== null)
    assertRule(whole.instance.length <= 128 && (whole.nonce?.length ?? 0) <= 64, 'a long answer');
  assertEqual(decodeInPieces(dialect, all), whole, 'an answer in pieces is another one');
}

const response = `{"instance":"orders-1","nonce":"${NONCE}"}`;
const tcpJson = `{"id":"${NONCE}","response":${response},"isDisposed":true}`;
const chunked = `${response.length.toString(16)}\r\n${response}\r\n0\r\n\r\n`;

const tcpAnswer: Target = {
  name: 'tcp-answer',
  about: 'answers to a registry’s probe over TCP',
  seeds: [`${tcpJson.length}#${tcpJson}`, `5#[{}]x`, `9#{"err":1}`, '1000#'.padEnd(1_000, 'x')],
  run: (bytes) => checkAnswers(TCP_ANSWERS, bytes),
};

const httpAnswer: Target = {
  name: 'http-answer',
  about: 'answers to a registry’s probe over HTTP',
  seeds: [
    `HTTP/1.1 200 OK\r\ncontent-length: ${response.length}\r\n\r\n${response}`,
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
    `HTTP/1.0 200\r\n\r\n${response}`,
    'HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\r\n',
    `HTTP/1.1 200 OK\r\nx: ${'x'.repeat(8_000)}`,
    `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${'1\r\n \r\n'.repeat(1_000)}${chunked}`,
    'HTTP/1.1 100\r\n\r\n'.repeat(700),
  ],
  run: (bytes) => checkAnswers(HTTP_ANSWERS, bytes),
};

const frameOf = (type: number, flags: number, payload: string): string =>
  String.fromCharCode(0, payload.length >> 8, payload.length & 255, type, flags, 0, 0, 0, type === 4 ? 0 : 1) + payload;
const GRPC_HEAD = writeFields([
  [':status', '200'],
  ['rollcall-instance', 'orders-1'],
  ['rollcall-nonce', NONCE],
]);
const grpcWhole = frameOf(4, 0, '') + frameOf(1, 4, GRPC_HEAD) + frameOf(1, 5, writeFields([['grpc-status', '0']]));

const grpcAnswer: Target = {
  name: 'grpc-answer',
  about: 'answers to a registry’s probe over gRPC: HTTP/2 frames and their headers',
  seeds: [
    grpcWhole,
    frameOf(4, 0, '') + frameOf(3, 0, '\0\0\0\x07'),
    frameOf(4, 0, '') + frameOf(1, 4, GRPC_HEAD).repeat(100),
    frameOf(4, 0, '').repeat(1_000),
  ].map((seed) => Buffer.from(seed, 'latin1')),
  run(bytes) {
    checkAnswers(GRPC_ANSWERS, bytes);
    const read = readFields(Buffer.from(bytes));
    if (read !== null)
      assertRule(JSON.stringify([...read]).length <= 40 * bytes.length + 100, 'more fields than bytes');
    const draw = new Draw(bytes);
    const fields: [string, string][] = [];
    while (!draw.isEmpty && fields.length < 20) fields.push([ascii(draw, 40), ascii(draw, 300)]);
    const back = readFields(Buffer.from(writeFields(fields), 'latin1'));
    assertEqual([...(back ?? [])], [...new Map(fields)], 'fields are read otherwise again');
  },
};

const ascii = (draw: Draw, maxLength: number): string =>
  Buffer.from(draw.rest(draw.below(maxLength)).map((byte) => 32 + (byte % 95))).toString('latin1');

// ---- tokens ---------------------------------------------------------------------------------------------------------

const TOKEN = `rct_0123456789_${'a'.repeat(43)}`;
const RECORD = {
  id: '0123456789',
  role: 'service',
  services: ['orders', 'pay-*'],
  note: '',
  createdAt: 1,
  expiresAt: null,
  revokedAt: null,
  hash: createHash('sha256').update(TOKEN).digest('hex'),
};

const tokens: Target = {
  name: 'tokens',
  about: 'the file of access tokens, and the token that a text matches',
  seeds: [
    JSON.stringify({ version: 1, tokens: [RECORD] }),
    JSON.stringify({ version: 1, tokens: [{ ...RECORD, role: 'reader', services: [], expiresAt: 5, revokedAt: 7 }] }),
    TOKEN,
  ],
  run(bytes) {
    const text = textOf(bytes);
    const read = parseTokens(text);
    if (!read.ok) assertRule(read.problem.length <= 100, 'it repeats the content of the file');
    else {
      const again = parseTokens(printTokens(read.value));
      assertRule(again.ok, 'its own file is not read');
      assertEqual(again.value, read.value, 'tokens are read otherwise again');
    }
    const book = new TokenBook([{ ...RECORD, role: 'service' as const }]);
    const { kind } = book.find(text, 2);
    assertRule((kind === 'valid') === (text === TOKEN), `${kind} is a text that is not the token`);
    for (const record of read.ok ? read.value : []) {
      const { kind: kindAlone } = new TokenBook([record]).find(text, 2);
      assertRule(
        kindAlone !== 'valid' || createHash('sha256').update(text).digest('hex') === record.hash,
        'a wrong text enters',
      );
    }
  },
};

export const REGISTRY_TARGETS: readonly Target[] = [tcpAnswer, httpAnswer, grpcAnswer, tokens];
