import {
  frameOf,
  FrameReader,
  Malformed,
  MessageWriter,
  readRange,
  readStatus,
  readToken,
  readTtl,
  readWatch,
  readWrite,
} from '@rollcall/registry/testing';
import { Draw } from './draw.js';
import { assertRule, assertEqual } from './target.js';
import type { Target } from './target.js';

const PREFIX = '/rollcall/';
const MAX_BYTES = 4_096;
/** The largest number of bytes of JSON for one byte of a message: an event of five bytes becomes an object. */
const MAX_RATIO = 60;

/** The value, or null for bytes that the reader rejects. Any other error is a finding. */
function read<Value>(reader: () => Value): Value | null {
  try {
    return reader();
  } catch (error) {
    if (error instanceof Malformed) return null;
    throw error;
  }
}

function checkFrames(all: Buffer): void {
  const whole = read(() => new FrameReader(MAX_BYTES).push(all));
  const reader = new FrameReader(MAX_BYTES);
  const pieces = read(() => Array.from(all, (byte) => reader.push(Buffer.from([byte]))).flat());
  assertEqual(pieces, whole, 'frames in pieces are read differently');
}

const READERS: Readonly<Record<string, (bytes: Buffer) => unknown>> = {
  range: (bytes) => readRange(bytes, PREFIX),
  write: (bytes) => readWrite(bytes, PREFIX, 2),
  watch: (bytes) => readWatch(bytes, PREFIX),
  status: readStatus,
  token: readToken,
  ttl: readTtl,
};

function checkMessages(bytes: Buffer): void {
  const before = Buffer.from(bytes);
  for (const [name, reader] of Object.entries(READERS)) {
    const value = read(() => reader(bytes));
    if (value === null) continue;
    assertRule(
      JSON.stringify(value).length <= MAX_RATIO * bytes.length + 200,
      `${name}: the answer is larger than its bytes`,
    );
  }
  assertRule(bytes.equals(before), 'the bytes have changed');
}

/** Drawn items are read back as they were written, in any pieces. */
function checkRoundTrip(draw: Draw): void {
  const answer = new MessageWriter();
  const revision = draw.below(65_536);
  answer.bytes(1, new MessageWriter().integer(3, revision).finish());
  const items = [];
  while (!draw.isEmpty && items.length < 20) {
    const item = {
      key: `instances/${draw.below(1_000)}`,
      value: Buffer.from(draw.rest(draw.below(100))).toString('latin1'),
      revision: draw.below(65_536),
      createdAt: draw.below(65_536),
    };
    items.push(item);
    const keyValue = new MessageWriter()
      .text(1, PREFIX + item.key)
      .integer(2, item.createdAt)
      .integer(3, item.revision)
      .text(5, item.value);
    answer.bytes(2, keyValue.finish());
  }
  const frame = frameOf(answer.finish());
  const [message] = new FrameReader(frame.length).push(frame);
  assertEqual(
    readRange(message ?? Buffer.alloc(0), PREFIX),
    { revision, items, isLast: true },
    'items are read differently',
  );
}

const keyValue = new MessageWriter().text(1, `${PREFIX}instances/orders-1`).integer(2, 7).integer(3, 9).text(5, '{}');
const header = new MessageWriter().integer(3, 9).finish();
const event = new MessageWriter().integer(1, 1).bytes(2, keyValue.finish()).finish();

export const etcd: Target = {
  name: 'etcd-answer',
  about: 'answers of an etcd member: frames of gRPC, and the Protocol Buffers in them',
  seeds: [
    frameOf(new MessageWriter().bytes(1, header).bytes(2, keyValue.finish()).finish()),
    new MessageWriter().bytes(1, header).bytes(2, keyValue.finish()).integer(3, 1).finish(),
    new MessageWriter().bytes(1, header).boolean(7, true).bytes(11, event).bytes(11, event).finish(),
    new MessageWriter().bytes(1, header).boolean(4, true).integer(5, 40).text(6, 'compacted').finish(),
    new MessageWriter().bytes(1, header).text(2, '3.5.16').integer(4, 77).finish(),
    Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
  ],
  run(bytes) {
    const all = Buffer.from(bytes);
    if (all.length > MAX_BYTES) return;
    checkFrames(all);
    checkMessages(all);
    checkRoundTrip(new Draw(bytes));
  },
};
