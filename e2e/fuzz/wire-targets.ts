import {
  attemptOf,
  encodeFrame,
  formatCursor,
  FrameDecoder,
  isHost,
  isIpv4,
  isIpv6,
  methodNameOf,
  NAME_PATTERN,
  nonceOf,
  parseCursor,
  remainingMsOf,
  routeNameOf,
} from '@rollcall/core';
import { SERVICE_PATTERN } from '@rollcall/registry';
import { isIPv4 as nodeIsIPv4, isIPv6 as nodeIsIPv6 } from 'node:net';
import { piecesOf, jsonOf, assertRule, assertEqual, textOf, allowErrors } from './target.js';
import type { Target } from './target.js';

interface Decoded {
  readonly frames: readonly unknown[];
  readonly isFailed: boolean;
  readonly isPartial: boolean;
}

function decode(pieces: readonly Uint8Array[], maxLength: number): Decoded {
  const decoder = new FrameDecoder(maxLength);
  const frames: unknown[] = [];
  let isFailed = false;
  for (const piece of pieces) {
    const { frames: more, failure } = decoder.push(piece);
    assertRule(!isFailed || (more.length === 0 && failure !== null), 'a decoder that has failed continues');
    frames.push(...more);
    isFailed = failure !== null;
    assertRule(failure === null || failure.code === 'FRAME_INVALID', 'a failure of another code');
    assertRule(failure === null || failure.message.length <= 300, 'a long failure');
  }
  return { frames, isFailed, isPartial: decoder.isPartial };
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    // bytes cut off in the middle of a character may still become one
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

const tcpFrame: Target = {
  name: 'tcp-frame',
  about: 'frames of Nest TCP',
  seeds: ['13#{"id":"a-1é"}2#{}', '4#null', '00#', '12#"\u{1f600}abcdefgh"', '5#[[[]]]'],
  run(bytes) {
    for (const maxLength of [48, 65_536]) {
      const whole = decode([bytes], maxLength);
      const isText = isUtf8(bytes);
      for (const pieces of piecesOf(bytes)) {
        const cut = decode(pieces, maxLength);
        if (isText) assertEqual(cut, whole, 'where it is cut makes a difference');
        // of a chunk with invalid UTF-8 nothing is read, not even the beginning
        else assertEqual(cut.frames.slice(0, whole.frames.length), whole.frames, 'pieces give fewer frames');
        assertRule(cut.isFailed === whole.isFailed, 'one fails and the other does not');
      }
      for (const frame of whole.frames) {
        const again = decode([Buffer.from(encodeFrame(frame))], Infinity);
        assertEqual(again.frames, [frame], 'a frame is read otherwise again');
      }
    }
  },
};

/** Letters in a host name may differ in case; nothing else may change when other parsers read it. */
function checkHost(text: string): void {
  assertRule(isIpv4(text) === nodeIsIPv4(text), 'Node is of another mind whether this is IPv4');
  if (!text.includes('%'))
    assertRule(isIpv6(text) === nodeIsIPv6(text), 'Node is of another mind whether this is IPv6');
  else assertRule(!isIpv6(text), 'an IPv6 address with a zone');
  if (!isHost(text)) return;
  assertRule(text.length <= 253, 'a long host');
  const url = `http://${text.includes(':') ? `[${text}]` : text}:1/`;
  // internationalised names are out of scope
  if (isIpv6(text) || /xn--/i.test(text) || !URL.canParse(url)) return;
  assertRule(new URL(url).hostname === text.toLowerCase(), `others read ${text} as ${new URL(url).hostname}`);
}

const words: Target = {
  name: 'words',
  about: 'hosts, cursors, names, patterns, and the values of `rollcall-*` headers',
  seeds: [
    '10.0.0.5',
    '::ffff:10.0.0.5',
    '2001:db8::1',
    '0x7f.1',
    'orders.internal',
    '0192f0a1-7c3e-7a61-8f00-1a2b3c4d5e6f.12',
    '/api/v1/orders/7?x',
    '{"cmd":"find","a":{"b":1}}',
    '-12',
    'pay-*',
  ],
  run(bytes) {
    const text = textOf(bytes);
    checkHost(text);
    const cursor = parseCursor(text);
    if (cursor !== null) assertEqual(parseCursor(formatCursor(cursor)), cursor, 'a cursor is read otherwise again');
    const [left, attempt] = [remainingMsOf(text), attemptOf(text)];
    assertRule(left === null || Number.isSafeInteger(left), `${left} ms left`);
    assertRule(Number.isSafeInteger(attempt) && attempt >= 1, `attempt ${attempt}`);
    const route = routeNameOf('GET', `/${text}`);
    assertRule(route.length <= text.length + 5 && !route.slice(4).includes('?'), 'a route with a query');
    assertEqual(routeNameOf('GET', route.slice(4)), route, 'a route is read otherwise again');
    assertRule(!NAME_PATTERN.test(text) || SERVICE_PATTERN.test(text), 'a name that no token can name');
    const json = jsonOf(text);
    const nonce = nonceOf(json);
    assertRule(nonce === null || nonce.length <= 64, 'a long nonce');
    if (typeof json === 'object')
      assertEqual(methodNameOf(jsonOf(methodNameOf(json))), methodNameOf(json), 'a pattern');
    const written = allowErrors(['FRAME_INVALID'], () => encodeFrame(json));
    assertRule((written === undefined) === (json === undefined), 'a JSON value cannot be written');
  },
};

export const WIRE_TARGETS: readonly Target[] = [tcpFrame, words];
