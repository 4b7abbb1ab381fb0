import { decodeCopies, encodeCopies } from '@rollcall/client/testing';
import type { CacheOwner, KeptCopy } from '@rollcall/client/testing';
import { parseFrame, ServiceSnapshot, changeMessage, SseParser } from '@rollcall/core';
import type { Frame, Instance, ServiceFrame, SseEvent, Tombstone } from '@rollcall/core';
import { sampleInstance } from '@rollcall/core/testing';
import { createHash } from 'node:crypto';
import { Draw, valueFor } from './draw.js';
import { piecesOf, assertRule, assertEqual, textOf } from './target.js';
import type { Target } from './target.js';

// ---- the stream -----------------------------------------------------------------------------------------------------

interface Read {
  readonly events: readonly SseEvent[];
  readonly isOver: boolean;
}

function read(pieces: readonly Uint8Array[], limit: number): Read {
  const parser = new SseParser(limit);
  const events: SseEvent[] = [];
  for (const piece of pieces) {
    const more = parser.push(piece);
    if (more === null) return { events, isOver: true };
    events.push(...more);
  }
  return { events, isOver: false };
}

const LINE_END = /\r\n?|\n/;

const sse: Target = {
  name: 'sse',
  about: 'the stream of the change feed, from its bytes to its blocks',
  seeds: [
    'event: reset\ndata: {"a":1}\n\nid: 0192f0a1-7c3e-7a61-8f00-1a2b3c4d5e6f.12\n\n',
    ': beat\r\n\r\ndata: a\rdata:b\n\n',
    '\ufeffdata: é\u{1f600}\n\n',
  ],
  run(bytes) {
    for (const limit of [32, 100_000]) {
      const whole = read([bytes], limit);
      for (const pieces of piecesOf(bytes)) {
        const cut = read(pieces, limit);
        assertRule(cut.isOver === whole.isOver, 'where it is cut decides whether it is too long');
        // blocks in the same chunk as one that is too long are not reported
        assertEqual(cut.events.slice(0, whole.events.length), whole.events, 'where it is cut makes a difference');
        assertRule(whole.isOver || cut.events.length === whole.events.length, 'pieces give more blocks');
      }
      for (const event of whole.events) checkEvent(event, limit);
    }
  },
};

function checkEvent({ event, data, id }: SseEvent, limit: number): void {
  assertRule((data?.length ?? 0) + (id?.length ?? 0) <= limit, 'a block beyond the limit');
  assertRule(!LINE_END.test(event) && !/\r/.test(data ?? '') && !LINE_END.test(id ?? ''), 'a line end inside a line');
  const lines = (data ?? '').split('\n').map((line) => `data: ${line}\n`);
  const text = `event: ${event}\n${data === null ? '' : lines.join('')}${id === null ? '' : `id: ${id}\n`}\n`;
  assertEqual(read([Buffer.from(text)], 1e9).events, [{ event, data, id }], 'a block is read otherwise again');
}

// ---- the copy of a service ------------------------------------------------------------------------------------------

const EPOCHS = ['0192f0a1-7c3e-7a61-8f00-1a2b3c4d5e6f', '0192f0a1-7c3e-7a61-8f00-000000000000'] as const;
const OF = { namespace: 'default', service: 'orders' };
const REASON = { code: 'GOODBYE', text: 'it left' } as const;

function instanceFrom(draw: Draw): Instance {
  return sampleInstance({ id: `orders-${draw.below(5)}`, revision: draw.below(12), weight: draw.below(3) });
}

const some = <Item>(draw: Draw, make: (draw: Draw) => Item): Item[] =>
  Array.from({ length: draw.below(4) }, () => make(draw));

const tombstoneFrom = (draw: Draw): Tombstone => ({
  id: `orders-${draw.below(5)}`,
  revision: draw.below(12),
  reason: REASON,
});

function frameFrom(draw: Draw): ServiceFrame {
  const kind = draw.below(5);
  if (kind === 0) return { event: 'unknown', data: OF };
  if (kind <= 2) {
    return { event: 'change', data: { ...OF, upsert: some(draw, instanceFrom), remove: some(draw, tombstoneFrom) } };
  }
  const complete = draw.below(3) !== 0;
  const removed = complete ? { removed: some(draw, tombstoneFrom) } : {};
  const place = { epoch: draw.pick(EPOCHS), revision: draw.below(12), part: draw.below(3) };
  return { event: 'reset', data: { ...OF, ...place, complete, instances: some(draw, instanceFrom), ...removed } };
}

/** Lines `event json`; other bytes choose which frames are made. */
function framesFrom(bytes: Uint8Array): ServiceFrame[] {
  const lines = textOf(bytes).split('\n');
  const frames = lines.map((line) => checkedFrame(line)).filter((frame) => frame !== null);
  const ofService = frames.filter(({ event }) => event !== 'status' && event !== 'gone') as ServiceFrame[];
  if (ofService.length > 0) return ofService;
  const draw = new Draw(bytes);
  const made: ServiceFrame[] = [];
  while (!draw.isEmpty && made.length < 64) made.push(frameFrom(draw));
  return made;
}

function checkedFrame(line: string): Frame | null {
  const space = line.indexOf(' ');
  const frame = parseFrame(line.slice(0, Math.max(0, space)), line.slice(space + 1));
  if (frame === null) return null;
  if (!frame.ok) {
    assertRule(
      frame.problem.length <= 10 && JSON.stringify(frame.problem).length <= 16_384,
      'much is wrong with a frame',
    );
    return null;
  }
  assertEqual(
    parseFrame(frame.value.event, JSON.stringify(frame.value.data)),
    frame,
    'a frame is read otherwise again',
  );
  return frame.value;
}

const change: Target = {
  name: 'change',
  about: 'frames of the feed, and the view of a service that results from them',
  seeds: [
    `reset ${JSON.stringify({ ...OF, epoch: EPOCHS[0], revision: 3, part: 0, complete: true, instances: [sampleInstance()] })}`,
    `change ${JSON.stringify({ ...OF, upsert: [sampleInstance({ revision: 5 })], remove: [] })}`,
    'unknown {"namespace":"*","service":"orders","nearest":"order"}',
    'status {"settled":true}',
    new Uint8Array([3, 1, 0, 4, 1, 1, 2, 1, 1, 2, 2, 0, 0, 0, 3, 1, 1, 0, 0, 1, 2, 2, 5, 1]),
  ],
  run(bytes) {
    const copy = new ServiceSnapshot();
    for (const frame of framesFrom(bytes)) {
      const before = { epoch: copy.epoch, revision: copy.revision, instances: [...copy.instances] };
      const applied = copy.apply(frame);
      if (applied === 'broken') assertEqual(copy.instances, before.instances, 'a broken frame changes the copy');
      assertRule(copy.epoch !== before.epoch || copy.revision >= before.revision, 'a revision goes back');
      checkCopy(copy);
      if (frame.event === 'change' && applied !== 'broken')
        assertRule(copy.apply(frame) === 'same', 'twice is not once');
      if (frame.event !== 'reset' && before.instances.length > 0 && frame.event !== 'change') {
        assertRule(copy.instances.length === before.instances.length, 'an unknown service removes an instance');
      }
    }
    checkKept(copy);
  },
};

function checkCopy(copy: ServiceSnapshot): void {
  const ids = copy.instances.map(({ id }) => id);
  assertRule(new Set(ids).size === ids.length, 'an instance twice');
  for (const each of copy.instances) {
    assertRule(copy.get(each.id) === each, 'an instance that cannot be found');
    const buried = copy.tombstone(each.id);
    const isConfirmed = !copy.isUnconfirmed(each.id);
    assertRule(
      buried === undefined || buried.revision < each.revision || !isConfirmed,
      'an instance beside its tombstone',
    );
  }
}

function checkKept(copy: ServiceSnapshot): void {
  const { kept } = copy;
  if (kept === null) return;
  const heir = new ServiceSnapshot();
  assertRule(heir.restore(kept), 'the stored copy is not restored');
  assertEqual(heir.kept, kept, 'the stored copy is restored differently');
  assertRule(
    kept.instances.every(({ id }) => heir.isUnconfirmed(id)),
    'the stored copy counts as confirmed',
  );
}

// ---- the copy on disk -----------------------------------------------------------------------------------------------

const OWNER: CacheOwner = { namespace: 'default', registries: ['http://127.0.0.1:1337'] };
const WALL = 1_790_000_000_000;

function decoded(text: string) {
  const reading = decodeCopies(text, OWNER, WALL);
  let turns = 0;
  for (let next = reading.next(); ; next = reading.next()) {
    if (next.done === true) return next.value;
    turns += 1;
    assertRule(turns <= text.length, 'reading takes more turns than there are characters');
  }
}

function encoded(copies: readonly KeptCopy[]): string {
  return [...encodeCopies(OWNER, copies)].filter((piece) => typeof piece === 'string').join('');
}

function copyFrom(draw: Draw): KeptCopy {
  const drawn = changeMessage.parse(valueFor(changeMessage, draw));
  const own = some(draw, instanceFrom);
  const found = drawn.ok ? drawn.value.upsert : [];
  const { service } = found[0] ?? OF;
  const isOurs = found.length > 0 && found[0]?.namespace === 'default';
  const instances = [...new Map((isOurs ? found : own).map((each) => [each.id, each])).values()];
  const unconfirmed = instances.filter(() => draw.below(2) === 0).map(({ id }) => id);
  return {
    service: isOurs ? service : 'orders',
    epoch: draw.pick(EPOCHS),
    revision: draw.below(1_000),
    heardAt: WALL - draw.below(1_000),
    instances,
    unconfirmed,
  };
}

const SOME_FILE = encoded([
  { service: 'orders', epoch: EPOCHS[0], revision: 3, heardAt: WALL, instances: [sampleInstance()], unconfirmed: [] },
]);

const cacheFile: Target = {
  name: 'cache-file',
  about: 'the copies of other services that a client stores on disk: raw, damaged, and well-signed nonsense',
  seeds: [SOME_FILE, SOME_FILE.split('\n')[1] ?? '', new Uint8Array([3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])],
  run(bytes) {
    checkFile(textOf(bytes));
    // the same as the body of a file with a correct checksum
    const body = `${SOME_FILE.split('\n')[0]}\n${textOf(bytes)}\n`;
    checkFile(`${body}${JSON.stringify({ sha256: createHash('sha256').update(body).digest('hex') })}\n`);
    const draw = new Draw(bytes);
    const copies = new Map(some(draw, copyFrom).map((copy) => [copy.service, copy]));
    const wanted = [...copies.values()].filter(({ instances }) => instances.length > 0);
    const file = encoded(wanted);
    const back = decoded(file);
    assertRule(back.ok, `a file that was just written is not read: ${back.ok ? '' : back.problem}`);
    assertEqual(back.value.map(ordered), wanted.map(ordered), 'copies are restored differently');
    const at = draw.below(65_536) % file.length;
    const other = String.fromCharCode(32 + draw.below(95));
    if (file[at] === other) return;
    const damaged = decoded(file.slice(0, at) + other + file.slice(at + 1));
    // its very last character is the end of its last line, and carries no data
    if (damaged.ok) assertEqual(damaged.value, back.value, 'a damaged file is believed');
  },
};

function checkFile(text: string): void {
  const result = decoded(text);
  if (!result.ok) return assertRule(result.problem.length <= 100, 'a long complaint');
  assertRule(JSON.stringify(result.value).length <= 2 * text.length + 1_000, 'more comes out than went in');
  const again = decoded(encoded(result.value.filter(({ instances }) => instances.length > 0)));
  assertRule(again.ok, 'a copy that was read cannot be kept');
}

const ordered = ({ service, epoch, revision, heardAt, instances, unconfirmed }: KeptCopy): KeptCopy => ({
  service,
  epoch,
  revision,
  heardAt,
  instances,
  unconfirmed,
});

export const CLIENT_TARGETS: readonly Target[] = [sse, change, cacheFile];
