import {
  beatAnswerMessage,
  beatMessage,
  changeMessage,
  drainAnswerMessage,
  drainMessage,
  goneMessage,
  heartbeatAnswerMessage,
  heartbeatCallMessage,
  instanceMessage,
  instancePatchMessage,
  isMetadata,
  overrideMessage,
  problemDocumentMessage,
  problemFrom,
  PROBLEMS,
  registeredMessage,
  registrationMessage,
  registryEventMessage,
  resetMessage,
  serviceViewMessage,
  statusMessage,
  suspicionMessage,
  tombstoneMessage,
  unknownMessage,
} from '@rollcall/core';
import type { Flaw, Message } from '@rollcall/core';
import { sampleInstance } from '@rollcall/core/testing';
import { Draw, valueFor } from './draw.js';
import { jsonOf, assertRule, assertEqual, textOf } from './target.js';
import type { Target } from './target.js';

type Table = Message<any>;

/** Characters that a flaw's text must not contain: controls of terminals and pages. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u;
/** The room for defaults that a message may fill in, and for a list of flaws. */
const OVERHEAD_BYTES = 8_192;

/**
 * Reads the bytes as JSON; other bytes choose how a value is made from the message's table. The first character of JSON is
 * never one of those that choose among tables, so that valid examples go to the first table they fit.
 */
function createTarget(
  name: string,
  about: string,
  tables: readonly [Table, ...Table[]],
  seeds: readonly object[],
): Target {
  return {
    name,
    about,
    seeds: [...seeds.map((seed) => JSON.stringify(seed)), ...tables.map((_, at) => new Uint8Array([at]))],
    run(bytes) {
      const json = jsonOf(textOf(bytes));
      if (json !== undefined) {
        for (const table of tables) checkTable(table, json, bytes.length);
        return;
      }
      const draw = new Draw(bytes);
      const table = draw.pick(tables);
      const value = valueFor(table, draw);
      checkTable(table, value, JSON.stringify(value)?.length ?? 0);
    },
  };
}

/** The rules for every message reader: it answers within bounds with its own copy, which it reads as the same again. */
export function checkTable(table: Table, value: unknown, size: number): void {
  const before = JSON.stringify(value);
  const parsed = table.parse(value);
  assertRule(JSON.stringify(value) === before, `${table.name} changes its input`);
  const standard = table['~standard'].validate(value);
  assertRule(parsed.ok === 'value' in standard, `${table.name} is of two minds`);
  if (!parsed.ok) return checkFlaws(table.name, parsed.problem);
  const json = JSON.stringify(parsed.value);
  assertRule(json.length <= OVERHEAD_BYTES + 2 * size, `${table.name} makes ${json.length} characters of ${size}`);
  assertRule(Object.getPrototypeOf(parsed.value) === Object.prototype, `${table.name} makes no plain object`);
  const again = table.parse(jsonOf(json));
  assertRule(again.ok, `${table.name} refuses its own result`);
  assertEqual(again.value, parsed.value, `${table.name} reads its own result differently`);
}

function checkFlaws(name: string, flaws: readonly Flaw[]): void {
  assertRule(flaws.length >= 1 && flaws.length <= 10, `${name} finds ${flaws.length} flaws`);
  assertRule(JSON.stringify(flaws).length <= OVERHEAD_BYTES * 2, `${name} has too long a list of flaws`);
  for (const { path, received } of flaws) {
    assertRule(received.length <= 200, `${name} repeats ${received.length} characters`);
    assertRule(path.length <= 1_000, `${name} has a path of ${path.length} characters`);
    assertRule(!UNPRINTABLE.test(received) && !UNPRINTABLE.test(path), `${name} repeats unprintable characters`);
  }
}

const REGISTRATION = {
  id: 'orders-1',
  service: 'orders',
  namespace: 'default',
  endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3001 }],
  version: '1.2.3',
  zone: 'eu-1',
  weight: 100,
  metadata: { team: 'a' },
  methods: { 'GET /orders': { idempotent: true, timeoutMs: 500, hedge: { afterMs: 20 } } },
  secret: 'a-secret-of-132-bits-22',
};
const EDGE = { service: 'pay', windowMs: 10_000, calls: 3, failures: 1, retries: 0, p50Ms: 1.5, p99Ms: null };
const BEAT = { nonce: 'nonce-12', seq: 7, load: { inFlight: 1, loopLagMs: 0.5 }, edges: [EDGE] };
const PATCH = { admin: 'DRAINING', weight: null, metadata: { team: null, color: 'red' }, reason: 'why', untilMs: null };
const OVERRIDE = { admin: null, weight: 5, metadata: { a: 'b' }, reason: '', since: 1, untilMs: null };
const OF = { namespace: 'default', service: 'orders' };
const EPOCH = '0192f0a1-7c3e-7a61-8f00-1a2b3c4d5e6f';
const REASON = { code: 'GOODBYE', text: 'it left' };
const TOMBSTONE = { id: 'orders-2', revision: 4, reason: REASON };

const metadata: Target = {
  name: 'metadata',
  about: 'free-text fields of an instance',
  seeds: ['{"team":"a","zone":"b"}', '{"__proto__":"x"}', '{"é":"\\ud800"}'],
  run(bytes) {
    const json = jsonOf(textOf(bytes));
    const value = json ?? { [textOf(bytes.subarray(0, 64))]: textOf(bytes.subarray(64)) };
    const isFine = isMetadata(value);
    const read = registrationMessage.parse({ ...REGISTRATION, metadata: value });
    assertRule(read.ok === isFine, 'metadata is fine alone and not in a registration, or the other way round');
    if (!read.ok) return checkFlaws('metadata', read.problem);
    const words = Object.entries(read.value.metadata ?? {});
    const size = words.reduce((sum, [key, word]) => sum + Buffer.byteLength(key) + Buffer.byteLength(word), 0);
    assertRule(words.length <= 64 && size <= 4_096, `metadata of ${words.length} keys and ${size} bytes`);
    assertEqual(read.value.metadata, value, 'metadata is not kept as it came');
  },
};

const problems: Target = {
  name: 'problem',
  about: 'refusals as a client reads them, from any server',
  seeds: ['{"code":"ENDED","detail":"gone","fix":"none","flaws":[],"retryAfterMs":5}', '<html>'],
  run(bytes) {
    const status = 400 + ((bytes[0] ?? 0) % 200);
    const problem = problemFrom(status, jsonOf(textOf(bytes)));
    assertRule(Object.hasOwn(PROBLEMS, problem.code), `a problem of code ${problem.code.slice(0, 80)}`);
    assertEqual(problemFrom(status, jsonOf(JSON.stringify(problem))), problem, 'a problem is read otherwise again');
  },
};

export const MESSAGE_TARGETS: readonly Target[] = [
  createTarget('registration', 'POST /api/v1/register', [registrationMessage], [REGISTRATION]),
  createTarget('heartbeat', 'Heartbeat-2', [beatMessage], [BEAT]),
  createTarget(
    'bodies',
    'suspect, drain and settings of operators',
    [suspicionMessage, drainMessage, instancePatchMessage, overrideMessage],
    [{ by: 'gateway', outcome: 'refused' }, { deadlineMs: 5_000 }, PATCH, OVERRIDE],
  ),
  createTarget(
    'calls',
    'Heartbeat-1 as a service reads it, and the answers of a registry',
    [heartbeatCallMessage, heartbeatAnswerMessage, registeredMessage, beatAnswerMessage, drainAnswerMessage],
    [
      { replica: 'replica-1', instance: 'orders-1', nonce: 'nonce-12', purpose: 'beat', mac: 'ab'.repeat(32) },
      { instance: 'orders-1', nonce: null },
      { state: 'HEALTHY', revision: 3 },
    ],
  ),
  createTarget(
    'frames',
    'every frame of the change feed, records and events',
    [
      resetMessage,
      changeMessage,
      unknownMessage,
      statusMessage,
      goneMessage,
      serviceViewMessage,
      instanceMessage,
      tombstoneMessage,
      registryEventMessage,
      problemDocumentMessage,
    ],
    [
      {
        ...OF,
        epoch: EPOCH,
        revision: 9,
        part: 0,
        complete: true,
        instances: [sampleInstance()],
        removed: [TOMBSTONE],
      },
      { ...OF, upsert: [sampleInstance()], remove: [TOMBSTONE] },
      { settled: true, degraded: 'the disk is full' },
      { id: 'orders-1', reason: REASON },
    ],
  ),
  metadata,
  problems,
];
