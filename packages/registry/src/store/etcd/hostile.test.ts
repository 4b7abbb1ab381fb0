import { isRollcallError } from '@rollcall/core';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Change } from '../cluster/cluster-store.js';
import { EtcdStore } from './etcd.js';
import type { EtcdOptions } from './etcd.js';
import { frameOf } from './frames.js';
import { answer, respond, cancelAnswer, HONEST, rangeAnswer, refuse, startMember } from './hostile.fixture.js';
import { tokenAnswer, watchAnswer } from './hostile.fixture.js';
import type { Script, ScriptedMember } from './hostile.fixture.js';
import { METHODS } from './messages.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function member(scripts: Readonly<Record<string, Script>>): Promise<ScriptedMember> {
  const started = await startMember(scripts);
  closers.push(() => started.close());
  return started;
}

/** A TCP server that handles each connection with `onSocket`. */
async function rawMember(onSocket: (socket: Socket) => void): Promise<{ readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { port: (server.address() as AddressInfo).port };
}

function storeOf(members: readonly { readonly port: number }[], options: Partial<EtcdOptions> = {}): EtcdStore {
  const address = `etcd://${members.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  const store = new EtcdStore({ address, ...options });
  closers.push(() => store.close());
  return store;
}

/** The code that a promise rejects with, or what it resolves with. */
async function outcome(promise: Promise<unknown>): Promise<string> {
  try {
    return `resolved ${JSON.stringify(await promise)}`;
  } catch (error) {
    return isRollcallError(error) ? error.code : String(error);
  }
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** A member that answers a range so. */
const ranges = (script: Script): Readonly<Record<string, Script>> => ({ [METHODS.range]: script });

const SILENT: Script = () => {};
const FAULTS: readonly (readonly [string, Script])[] = [
  ['that never answers', SILENT],
  ['that sends a head and nothing more', (stream) => stream.respond({ ':status': 200 })],
  ['that answers with HTTP 503', (stream) => stream.respond({ ':status': 503 }, { endStream: true })],
  ['that ends without a status', (stream) => stream.respond({ ':status': 200 }, { endStream: true })],
  ['that ends without a message', (stream) => answer(stream)],
  ['that resets the stream', (stream) => stream.close(2)],
  ['that refuses the stream', (stream) => stream.close(7)],
  ['that sends bytes that are not a message', (stream) => answer(stream, bytes('\xff\xff\xff\xff'))],
  ['that sends a field longer than the message', (stream) => answer(stream, bytes('\x12\xff\x7f'))],
  ['that sends a key outside the prefix', (stream) => answer(stream, bytes('\x12\x04\x0a\x02/x'))],
  [
    'that announces a message of 4 GiB',
    (stream) => {
      respond(stream);
      stream.write(bytes('\x00\xff\xff\xff\xff'));
    },
  ],
  [
    'that compresses',
    (stream) => {
      respond(stream);
      stream.end(bytes('\x01\x00\x00\x00\x01x'));
    },
  ],
  [
    'that ends within a message',
    (stream) => {
      respond(stream);
      stream.end(frameOf(rangeAnswer(7, [])).subarray(0, 7));
    },
  ],
  [
    'that closes the connection within a message',
    (stream) => {
      respond(stream);
      stream.write(bytes('\x00\x00\x00'), () => stream.session?.destroy());
    },
  ],
  ['that sends GOAWAY and closes', (stream) => stream.session?.destroy(undefined, 11)],
  ['that is overloaded', (stream) => refuse(stream, 8, 'etcdserver: too many requests')],
  ['that has no leader', (stream) => refuse(stream, 14, 'etcdserver: no leader')],
];

describe.each(FAULTS)('a member %s', (_, script) => {
  it('is replaced by the next one', async () => {
    const store = storeOf([await member(ranges(script)), await member(HONEST)]);
    expect((await store.list()).items).toEqual([{ key: 'a', value: '1', revision: 7, createdAt: 7 }]);
  });

  it('makes the store unreachable if it is the only one', async () => {
    const store = storeOf([await member(ranges(script))]);
    expect(await outcome(store.list())).toBe('STORE_UNREACHABLE');
  });
});

const RAW: readonly (readonly [string, (socket: Socket) => void])[] = [
  ['accepts and sends nothing', () => {}],
  ['closes at once', (socket) => socket.destroy()],
  ['uses HTTP/1.1', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['sends random bytes', (socket) => socket.write(Buffer.alloc(4_096, 0xa7))],
  // a HEADERS frame of 16 MiB, which is announced and never sent
  [
    'announces a frame of 16 MiB',
    (socket) => socket.write(bytes('\x00\x00\x00\x04\x00\x00\x00\x00\x00\xff\xff\xff\x01')),
  ],
];

describe.each(RAW)('a server that %s', (_, onSocket) => {
  it('is replaced by the next member', async () => {
    const store = storeOf([await rawMember(onSocket), await member(HONEST)]);
    expect((await store.list()).revision).toBe(7);
  });

  it('makes the store unreachable, also for a write, which is sent at most once', async () => {
    const store = storeOf([await rawMember(onSocket)]);
    const write = store.write([{ guards: [], puts: [{ key: 'a', value: '1' }], deletes: [] }]);
    expect(await outcome(write)).toBe('STORE_UNREACHABLE');
    expect(await outcome(store.join('replicas/a', '', 5_000))).toBe('STORE_UNREACHABLE');
  });
});

describe('a call of the store', () => {
  it('is rejected at once by a status that every member would return', async () => {
    const denied = await member(ranges((stream) => refuse(stream, 7, 'etcdserver: permission denied')));
    const next = await member(HONEST);
    const store = storeOf([denied, next]);
    await expect(store.list()).rejects.toThrow(/permission denied/);
    expect(await outcome(store.list())).toBe('STORE_REFUSED');
    expect(next.calls).toEqual([]);
  });

  it('is not repeated if it is a write that was sent', async () => {
    const scripts = { [METHODS.txn]: SILENT };
    const [first, second] = [await member(scripts), await member(scripts)];
    const store = storeOf([first, second]);
    const write = store.write([{ guards: [], puts: [{ key: 'a', value: '1' }], deletes: [] }]);
    expect(await outcome(write)).toBe('STORE_UNREACHABLE');
    expect([first.calls.length, second.calls.length]).toEqual([1, 0]);
  });

  it('is rejected with CLOSED if it is under way when the store is closed', async () => {
    const silent = await member(ranges(SILENT));
    const store = storeOf([silent]);
    const list = outcome(store.list());
    await vi.waitFor(() => expect(silent.calls.length).toBe(1));
    await store.close();
    expect(await list).toBe('CLOSED');
  });

  it('cuts a text of the store to 300 characters', async () => {
    const store = storeOf([await member(ranges((stream) => refuse(stream, 3, 'x'.repeat(5_000))))]);
    const text = await store.list().then(String, String);
    expect(text.length).toBeLessThan(600);
  });
});

describe('a store with a user', () => {
  const user = { name: 'rollcall', password: 'correct horse' };

  it('logs in before the first call, and again once when the token is not valid any more', async () => {
    const tokens: (string | undefined)[] = [];
    const guarded = await member({
      [METHODS.authenticate]: (stream, { n }) => answer(stream, tokenAnswer(`token-${n}`)),
      [METHODS.range]: (stream, { token }) => {
        tokens.push(token);
        if (token === 'token-1') answer(stream, rangeAnswer(7, []));
        else refuse(stream, 16, 'etcdserver: invalid auth token');
      },
    });
    const store = storeOf([guarded], { user });
    expect((await store.list()).revision).toBe(7);
    expect(tokens).toEqual(['token-0', 'token-1']);
  });

  it('is refused if the password is wrong, without the password in the text', async () => {
    const guarded = await member({
      [METHODS.authenticate]: (stream) => refuse(stream, 3, 'etcdserver: authentication failed'),
    });
    const store = storeOf([guarded], { user });
    const text = await store.list().then(String, String);
    expect(text).toMatch(/authentication failed/);
    expect(text).not.toMatch(/horse/);
    expect(await outcome(store.list())).toBe('STORE_REFUSED');
  });

  it('is refused if every new token is refused, after one more login', async () => {
    const guarded = await member({
      [METHODS.authenticate]: (stream) => answer(stream, tokenAnswer('stale')),
      [METHODS.range]: (stream) => refuse(stream, 16, 'etcdserver: invalid auth token'),
    });
    const store = storeOf([guarded], { user });
    expect(await outcome(store.list())).toBe('STORE_REFUSED');
    expect(guarded.calls.filter((path) => path === METHODS.authenticate).length).toBe(2);
  });
});

const changeText = (change: Change): string =>
  'put' in change ? `${change.put.key}=${change.put.value}` : `${change.deleted} deleted`;

/** The events that a follower received: `7 a=1`, `alive 7`, `lost`. */
function following(store: EtcdStore, after: number): string[] {
  const seen: string[] = [];
  store.follow(after, {
    changes: (revision, changes) => void seen.push(`${revision} ${changes.map(changeText).join(' ')}`),
    alive: () => {},
    lost: () => void seen.push('lost'),
  });
  return seen;
}

const watches = (script: Script): Readonly<Record<string, Script>> => ({ [METHODS.watch]: script });
const put = (revision: number, key: string): { key: string; value: string; revision: number } => ({
  key,
  value: `${revision}`,
  revision,
});
const UNTIL = { timeout: 20_000, interval: 20 };

describe('a watch', () => {
  const healthy = watches((stream) => {
    respond(stream);
    stream.write(frameOf(watchAnswer(3, [])));
    stream.write(frameOf(watchAnswer(8, [put(4, 'a'), put(5, 'b')])));
  });

  it.each(FAULTS.filter(([name]) => !name.includes('without a message')))('leaves a member %s', async (_, script) => {
    const store = storeOf([await member(watches(script)), await member(healthy)]);
    const seen = following(store, 3);
    await vi.waitFor(() => expect(seen).toEqual(['4 a=4', '5 b=5']), UNTIL);
  });

  it('leaves a member that falls silent, and delivers nothing twice', async () => {
    const silent = watches((stream) => {
      respond(stream);
      stream.write(frameOf(watchAnswer(4, [put(4, 'a')])));
    });
    const store = storeOf([await member(silent), await member(healthy)]);
    const seen = following(store, 3);
    await vi.waitFor(() => expect(seen).toEqual(['4 a=4', '5 b=5']), UNTIL);
  });

  it('continues after the last delivered event, not behind the revision of a header', async () => {
    const from: number[] = [];
    const ahead = watches((stream) => {
      respond(stream);
      stream.write(frameOf(watchAnswer(50, [put(4, 'a')])));
      stream.write(frameOf(watchAnswer(60, [])), () => setImmediate(() => stream.session?.destroy()));
    });
    const next = watches((stream) => {
      stream.once('data', (piece: Buffer) => from.push(startOf(piece)));
      respond(stream);
      stream.write(frameOf(watchAnswer(60, [])));
    });
    const store = storeOf([await member(ahead), await member(next)]);
    following(store, 3);
    await vi.waitFor(() => expect(from).toEqual([5]), UNTIL);
  });

  it('joins fragments until a revision is whole, and drops those of a member that fails between', async () => {
    const broken = watches((stream) => {
      respond(stream);
      stream.write(frameOf(watchAnswer(4, [put(4, 'lost-a')], true)), () => {
        setImmediate(() => stream.session?.destroy());
      });
    });
    const whole = watches((stream) => {
      respond(stream);
      stream.write(frameOf(watchAnswer(4, [put(4, 'a')], true)));
      stream.write(frameOf(watchAnswer(4, [put(4, 'b')])));
    });
    const store = storeOf([await member(broken), await member(whole)]);
    const seen = following(store, 3);
    await vi.waitFor(() => expect(seen).toEqual(['4 a=4 b=4']), UNTIL);
  });

  it('is lost once the store has compacted the next revision', async () => {
    const compacted = watches((stream) => answer(stream, cancelAnswer(9)));
    const store = storeOf([await member(compacted)]);
    const seen = following(store, 3);
    await vi.waitFor(() => expect(seen).toEqual(['lost']), UNTIL);
  });

  it('logs a cancellation once and opens again', async () => {
    const lines: string[] = [];
    const log = { debug() {}, info() {}, warn: (text: string) => void lines.push(text), error() {} };
    const denied = await member(
      watches((stream, { n }) => {
        if (n < 2) return answer(stream, cancelAnswer(0, 'etcdserver: permission denied'));
        respond(stream);
        stream.write(frameOf(watchAnswer(4, [put(4, 'a')])));
      }),
    );
    const seen = following(storeOf([denied], { log }), 3);
    await vi.waitFor(() => expect(seen).toEqual(['4 a=4']), UNTIL);
    expect(lines).toEqual([expect.stringContaining('permission denied')]);
  });
});

/** The start revision of a watch that is asked for: field 3 of field 1, which is the last integer but two. */
function startOf(frame: Buffer): number {
  const text = frame.toString('latin1');
  const at = text.indexOf('\x18', text.lastIndexOf('/rollcall0'));
  return frame[at + 1] ?? -1;
}
