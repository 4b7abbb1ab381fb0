import { describe, expect, it } from 'vitest';
import type { Answer, Dialect } from './dialect.js';
import { RESPONSES as GRPC } from './grpc.js';
import { writeFields } from './hpack.js';
import { RESPONSES as HTTP } from './http.js';
import { FRAMES as TCP } from './tcp.js';

const NONCE = 'nonce-0123456789';
const response = `{"instance":"orders-1","nonce":"${NONCE}"}`;
const answered: Answer = { instance: 'orders-1', nonce: NONCE };

function frame(type: number, flags: number, payload: string): string {
  const { length } = payload;
  return String.fromCharCode(0, length >> 8, length & 255, type, flags, 0, 0, 0, type === 4 ? 0 : 1) + payload;
}

function tcpFrame(more: string): string {
  const json = `{"id":"${NONCE}","more":"${more}","response":${response}}`;
  return `${json.length}#${json}`;
}

const CHUNKED = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n';
const SECURITY = `content-security-policy: ${'x'.repeat(7_900)}\r\n`;
const oneChunk = `${response.length.toString(16)}\r\n${response}\r\n`;
const oneByOne = response.padEnd(1_000).replaceAll(/./g, '1;x=12\r\n$&\r\n');
const grpcHead = writeFields([
  [':status', '200'],
  ['rollcall-instance', 'orders-1'],
  ['rollcall-nonce', NONCE],
]);
const grpcEnd = frame(1, 5, writeFields([['grpc-status', '0']]));

type Large = readonly [what: string, dialect: Dialect, bytes: string];

/** They have so many parts that to read one of them from its beginning again costs much more than a byte. */
const IN_PARTS: readonly Large[] = [
  ['a chunk for each byte', HTTP, `${CHUNKED}${oneByOne}0\r\n\r\n`],
  ['heads of HTTP/2', GRPC, frame(4, 0, '') + frame(1, 4, grpcHead).repeat(100) + grpcEnd],
  ['frames of HTTP/2', GRPC, frame(4, 0, '').repeat(900) + frame(1, 4, grpcHead) + grpcEnd],
];

/** All of them legal, and about as large as may be. */
const LARGE: readonly Large[] = [
  ['a frame of TCP', TCP, tcpFrame('x'.repeat(800))],
  ['a frame of TCP beyond ASCII', TCP, tcpFrame('ü'.repeat(300))],
  ['a head of HTTP', HTTP, `HTTP/1.1 200 OK\r\n${SECURITY}content-length: ${response.length}\r\n\r\n${response}`],
  ['an interim head', HTTP, `HTTP/1.1 103 Early Hints\r\n${SECURITY}\r\n${CHUNKED}${oneChunk}0\r\n\r\n`],
  ['a body without a length', HTTP, `HTTP/1.1 200 OK\r\n${SECURITY}\r\n${response.padEnd(1_000)}`],
  ...IN_PARTS,
];

function byteByByte(dialect: Dialect, all: Buffer): Answer | null {
  const answers = dialect.reader(NONCE);
  for (let length = 1; length <= all.length; length += 1) {
    const answer = answers.read(all.subarray(0, length), false);
    if (answer !== null) return answer;
  }
  return answers.read(all, true);
}

/** Reads it from its beginning again with every fifth byte: a fifth of what it costs to go on nowhere. */
function reparse(dialect: Dialect, all: Buffer): void {
  for (let length = 1; length <= all.length; length += 5) dialect.reader(NONCE).read(all.subarray(0, length), false);
}

function costOf(run: () => unknown): number {
  const before = process.cpuUsage();
  run();
  return process.cpuUsage(before).user;
}

describe('an answer that arrives byte by byte', () => {
  it.each(LARGE)('is read as if it had arrived at once: %s', (_what, dialect, text) => {
    const all = Buffer.from(text, dialect === TCP ? 'utf8' : 'latin1');
    expect(all.length).toBeLessThanOrEqual(dialect.maxBytes);
    expect(byteByByte(dialect, all)).toEqual(answered);
    expect(dialect.reader(NONCE).read(all, true)).toEqual(answered);
  });

  it.each(IN_PARTS)('costs little more, in any number of parts: %s', (_what, dialect, text) => {
    const all = Buffer.from(text, 'latin1');
    expect(costOf(() => byteByByte(dialect, all))).toBeLessThan(costOf(() => reparse(dialect, all)));
  });

  it.each([8_192, 8_193])('has the same limit for its head as one that arrives at once: %d bytes', (bytes) => {
    const start = `HTTP/1.1 200 OK\r\ncontent-length: ${response.length}\r\nx: `;
    const all = Buffer.from(`${start.padEnd(bytes, 'x')}\r\n\r\n${response}`);
    const atOnce = HTTP.reader(NONCE).read(all, true);
    expect(atOnce).toEqual(bytes === 8_192 ? answered : { nonsense: 'answers with too large a head' });
    expect(byteByByte(HTTP, all)).toEqual(atOnce);
  });
});
