import { createHmac } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { AnyMessage } from '../options/schema.js';
import { tableHead, tableRow, withGenerated } from '../testing.js';
import { beatAnswerMessage, beatMessage } from './beat.js';
import { changeMessage, goneMessage, resetMessage, statusMessage, unknownMessage } from './feed-frame.js';
import { instancePatchMessage, overrideMessage, registryEventMessage } from './operator.js';
import { problemDocumentMessage, PROBLEMS } from './problem.js';
import {
  CALL_KEY_TEXT,
  drainAnswerMessage,
  drainMessage,
  HEARTBEAT_PATH,
  HEARTBEAT_PATTERN,
  heartbeatAnswerMessage,
  heartbeatCallMessage,
  registeredMessage,
  registrationMessage,
  signedText,
  suspicionMessage,
  tombstoneMessage,
} from './protocol.js';
import { encodeFrame } from './tcp-frame.js';

/** Generates its parts between markers; `UPDATE_DOCS=1 npx vitest run protocol-doc` updates them. */
const DOC = fileURLToPath(new URL('../../../../docs/PROTOCOL.md', import.meta.url));

const MESSAGES: readonly AnyMessage[] = [
  registrationMessage,
  registeredMessage,
  heartbeatCallMessage,
  heartbeatAnswerMessage,
  beatMessage,
  beatAnswerMessage,
  suspicionMessage,
  drainMessage,
  drainAnswerMessage,
  resetMessage,
  changeMessage,
  unknownMessage,
  statusMessage,
  goneMessage,
  tombstoneMessage,
  instancePatchMessage,
  overrideMessage,
  registryEventMessage,
  problemDocumentMessage,
];

const PROBLEM_TEXTS: Record<keyof typeof PROBLEMS, string> = {
  INVALID: 'the message, or a parameter, is wrong: see `flaws`',
  UNAUTHORIZED: 'the secret of the instance, or the access token, is missing or wrong',
  TOKEN_LAPSED:
    'the secret is right, but the token with which the instance registered is no longer valid: register again, same id and secret',
  CERTIFICATE_UNTRUSTED:
    'the client certificate is not trusted, or not now: this does not concern secret or token; retry, each time over a new connection',
  FORBIDDEN: 'not allowed for you',
  NOT_FOUND: 'no such instance, service or route',
  METHOD_NOT_ALLOWED: 'this route has no such method',
  TOO_SLOW: 'the headers have not come within 5 s, or all of the request within 10 s',
  ID_HELD: 'the id is, or was recently, held by another secret or another service',
  LEAVING: 'this instance is draining',
  ADDRESS_TAKEN: 'another process answers at the address',
  ENDED: 'this id has ended for good',
  TOO_LARGE: 'the body, or the headers with the address, are over 16 KiB',
  UNSUPPORTED_MEDIA_TYPE: 'the body is not `application/json` in UTF-8, or is encoded (`Content-Encoding`)',
  MISDIRECTED: 'the `Host` is none of this registry',
  ADDRESS_NOT_ALLOWED: 'an endpoint is neither at the address of its registration nor in an allowed network',
  TOO_MANY: 'a limit is reached',
  INTERNAL: 'the registry failed',
  NOT_READY: 'the registry is starting, or not yet sure: `Retry-After`',
};

/** These messages and all nested ones, each once, a nested one right after the first that contains it. */
function withParts(messages: readonly AnyMessage[], seen = new Set<AnyMessage>()): ReadonlySet<AnyMessage> {
  for (const each of messages) {
    if (seen.has(each)) continue;
    seen.add(each);
    withParts(each.inner, seen);
  }
  return seen;
}

function messageTables(): string {
  const all = [...withParts(MESSAGES)];
  const names = new RegExp(`\\b(?:${all.map((each) => each.name).join('|')})\\b`, 'g');
  const link = (allowed: string): string => allowed.replace(names, (name) => `[${name}](#${name.toLowerCase()})`);
  return all
    .map(({ name, about, rows }) => {
      const lines = rows.map((row) => tableRow(`\`${row.field}\``, link(row.allowed), row.required, row.about));
      return [`### ${name}`, '', about, '', ...tableHead('field', 'allowed', 'required', 'meaning'), ...lines].join(
        '\n',
      );
    })
    .join('\n\n');
}

function problemTable(): string {
  const codes = Object.entries(PROBLEMS).toSorted(([, one], [, other]) => one - other);
  const texts = new Map(Object.entries(PROBLEM_TEXTS));
  return [
    ...tableHead('status', 'code', 'means'),
    ...codes.map(([code, status]) => tableRow(String(status), `\`${code}\``, texts.get(code) ?? '')),
  ].join('\n');
}

function workedExample(): string {
  const secret = 'Zm9yLXRoZS1wYWdlLW9ubHk';
  const unsigned = {
    replica: 'kT3vQ9xZ1bLm',
    instance: 'orders-0192f0c1-7a3b-7c4d-8e5f-0123456789ab',
    nonce: '0b8VxW5kQ2mJ7rTzYpNcLg',
    purpose: 'beat',
  } as const;
  const callKey = createHmac('sha256', secret).update(CALL_KEY_TEXT).digest();
  const call = { ...unsigned, mac: createHmac('sha256', callKey).update(signedText(unsigned)).digest('hex') };
  const answer = { instance: call.instance, nonce: call.nonce };
  expect(heartbeatCallMessage.parse(call)).toEqual({ ok: true, value: call });
  expect(heartbeatAnswerMessage.parse(answer)).toEqual({ ok: true, value: answer });
  const { nonce: id } = call;
  return [
    '```text',
    `secret       ${secret}`,
    `callKey      ${callKey.toString('hex')}`,
    `signed text  ${signedText(call)}`,
    `mac          ${call.mac}`,
    '```',
    '',
    'Over TCP comes, and goes back, as one line each:',
    '',
    '```text',
    encodeFrame({ pattern: HEARTBEAT_PATTERN, data: call, id }),
    encodeFrame({ response: answer, isDisposed: true, id }),
    '```',
    '',
    'Over HTTP:',
    '',
    '```text',
    `POST ${HEARTBEAT_PATH} HTTP/1.1`,
    'content-type: application/json',
    '',
    JSON.stringify(call),
    '',
    'HTTP/1.1 200 OK',
    'content-type: application/json',
    '',
    JSON.stringify(answer),
    '```',
  ].join('\n');
}

function made(page: string): string {
  const parts = { example: workedExample(), problems: problemTable(), messages: messageTables() };
  return withGenerated(page, new Map(Object.entries(parts)));
}

describe('docs/PROTOCOL.md', () => {
  it('describes messages, problems and signatures as in the code', () => {
    const page = readFileSync(DOC, 'utf8');
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made(page));
    expect(readFileSync(DOC, 'utf8')).toBe(made(page));
    for (const name of ['example', 'problems', 'messages']) expect(page).toContain(`<!-- generated: ${name} -->`);
  });

  it('points only to headings that it has', () => {
    const page = readFileSync(DOC, 'utf8');
    const headings = new Set(
      [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replaceAll(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    const targets = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, target = '']) => target);
    expect(targets.length).toBeGreaterThan(20);
    expect(targets.filter((target) => !headings.has(target))).toEqual([]);
  });
});
