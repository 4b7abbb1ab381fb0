import { encodeFrame, FrameDecoder, sleep, systemTime } from '@rollcall/core';
import { createServer, connect } from 'node:net';
import type { Socket } from 'node:net';
import { answerQuestions } from './dialogue.js';

// Thousands of watchers, and thousands that register, in one process: raw sockets, so that the registry is measured.

const SECRET = 'a-secret-of-the-benchmark';
const WATCH_CONCURRENCY = 200;
/** All sockets read into the same buffer: each is done with it before the next one reads. */
const scratch = Buffer.alloc(65_536);

/** One open change feed, of which only the raw bytes are examined. */
interface Stream {
  readonly socket: Socket;
  /** Called with each chunk, which is valid only until it returns. */
  onBytes: (bytes: Buffer) => void;
}

const streams: Stream[] = [];

function openStream(url: URL, service: string, localAddress: string): Promise<Stream> {
  return new Promise((resolve, reject) => {
    let onBytes = (bytes: Buffer): void => {
      if (bytes.includes('\nid: ')) resolve(stream);
    };
    const callback = (length: number): boolean => {
      onBytes(scratch.subarray(0, length));
      return true;
    };
    const to = { host: url.hostname, port: Number(url.port), localAddress };
    const socket = connect({ ...to, onread: { buffer: scratch, callback } });
    socket.on('error', reject).on('close', () => reject(new Error('the registry closed a stream')));
    socket.write(`GET /api/v1/watch?service=${service} HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`);
    const stream: Stream = {
      socket,
      get onBytes() {
        return onBytes;
      },
      set onBytes(listener) {
        onBytes = listener;
      },
    };
  });
}

/** Runs `task` for 0 … count - 1, `concurrency` at a time. */
async function runConcurrently(
  count: number,
  concurrency: number,
  task: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      await task(next - 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
}

/**
 * One registration on a connection of its own. Resolves when it was accepted. The kernel chooses its port, per
 * destination: bound to an address first, thousands would soon find none free.
 */
function register(url: URL, body: object): Promise<void> {
  return new Promise((resolve, reject) => {
    const json = JSON.stringify(body);
    const head = `POST /api/v1/register HTTP/1.1\r\nhost: ${url.host}\r\ncontent-type: application/json\r\n`;
    let text = '';
    const callback = (length: number): boolean => {
      text += scratch.toString('latin1', 0, length);
      // the whole answer arrives at once: it is far smaller than the kernel's buffer
      if (!text.includes('\r\n\r\n')) return true;
      socket.end();
      if (text.startsWith('HTTP/1.1 201')) resolve();
      else reject(new Error(text.slice(0, 400)));
      return true;
    };
    const to = { host: url.hostname, port: Number(url.port) };
    const socket = connect({ ...to, noDelay: true, onread: { buffer: scratch, callback } });
    socket.on('error', reject);
    socket.write(`${head}content-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`);
  });
}

/** Answers Heartbeat-1 for all instances, as a Nest TCP server would. */
function answerHeartbeats(): Promise<number> {
  const server = createServer((socket) => {
    const decoder = new FrameDecoder();
    socket.setNoDelay(true).on('error', () => {});
    socket.on('data', (bytes) => {
      for (const frame of decoder.push(bytes).frames) {
        const { id, data } = frame as { readonly id: string; readonly data: { instance: string; nonce: string } };
        const response = { instance: data.instance, nonce: data.nonce };
        socket.end(encodeFrame({ id, response, isDisposed: true }));
      }
    });
  });
  return new Promise((resolve) => {
    server.listen({ port: 0, host: '0.0.0.0', backlog: 4_096 }, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
}

const port = await answerHeartbeats();

/** The nth instance: each has an address of its own. */
function registrationOf(index: number, version: string): object {
  const host = `127.1.${index >> 8}.${index & 255}`;
  const service = `crowd-${index % 100}`;
  const id = `${service}-${String(index).padStart(12, '0')}`;
  return { id, secret: SECRET, service, version, endpoints: [{ protocol: 'tcp', host, port }] };
}

function pilot(version: string): object {
  const endpoints = [{ protocol: 'tcp', host: '127.2.0.1', port }];
  return { id: 'pilot-000000000001', secret: SECRET, service: 'pilot', version, endpoints };
}

/** Resolves with the moment at which the last of these streams has received `text`, and the number of bytes of all. */
function waitForAll(watchers: readonly Stream[], text: string): Promise<{ readonly at: number; bytes: number }> {
  return new Promise((resolve) => {
    let missing = watchers.length;
    let bytes = 0;
    for (const stream of watchers) {
      let isDone = false;
      stream.onBytes = (piece) => {
        bytes += piece.length;
        if (isDone || !piece.includes(text)) return;
        isDone = true;
        missing -= 1;
        if (missing === 0) resolve({ at: performance.now(), bytes });
      };
    }
  });
}

answerQuestions({
  /** Registers the pilot instance, and opens `count` streams of its service. */
  watch: async ({ registry, count }: { readonly registry: string; readonly count: number }) => {
    const url = new URL(registry);
    await register(url, pilot('v0'));
    const startedAt = performance.now();
    await runConcurrently(count, WATCH_CONCURRENCY, async (index) => {
      streams.push(await openStream(url, 'pilot', `127.0.0.${1 + (index % 4)}`));
    });
    return { openedMs: performance.now() - startedAt };
  },
  /** Changes the pilot instance: the time until all streams, or the first `count`, have the change. */
  change: async ({ registry, version, count }: { registry: string; version: string; count: number }) => {
    const all = waitForAll(streams.slice(0, count), `"version":"${version}"`);
    const startedAt = performance.now();
    await register(new URL(registry), pilot(version));
    const { at, bytes } = await all;
    return { ms: at - startedAt, bytes: bytes / count };
  },
  /** Waits until the registry flushes its next change at once again. */
  pause: (ms: number) => sleep(systemTime, ms).then(() => null),
  /** Registers `count` instances, each on a connection of its own: the time until a watcher of everything has them all. */
  burst: async (order: { registry: string; count: number; concurrency: number }) => {
    const { registry, count, concurrency } = order;
    const url = new URL(registry);
    const watcher = await openStream(url, '*', '127.0.0.1');
    const seen = new Set<string>();
    let tail = '';
    const full = new Promise<number>((resolve) => {
      watcher.onBytes = (bytes) => {
        const text = tail + bytes.toString('latin1');
        for (const [id] of text.matchAll(/"id":"crowd-\d+-\d{12}"/g)) seen.add(id);
        tail = text.slice(-64);
        if (seen.size >= count) resolve(performance.now());
      };
    });
    const startedAt = performance.now();
    await runConcurrently(count, concurrency, (index) => register(url, registrationOf(index, 'v1')));
    const acceptedAt = performance.now();
    const fullAt = await full;
    watcher.socket.destroy();
    return { acceptedMs: acceptedAt - startedAt, fullMs: fullAt - startedAt };
  },
});
process.send?.(String(port));
