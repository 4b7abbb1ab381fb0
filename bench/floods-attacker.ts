import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { answerQuestions } from './dialogue.js';

// An attacker at one address: floods the registry with registrations, opens connections and sends nothing, sends one
// byte at a time, watches and never reads, beats for an unknown instance, or requests much and never reads it.
// Connections that the registry closes are opened again.

const SECRET = 'a-secret-of-the-benchmark';
const SOURCE = '127.0.0.9';
const PACE_MS = 20;
const BYTE_MS = 1_000;
/** 5,000 a minute. */
const CHANGE_MS = 12;

interface Order {
  readonly url: string;
  readonly count: number;
}

let at = { host: '127.0.0.1', port: 0 };
const isOver = (): boolean => over.signal.aborted;
const over = new AbortController();
let opened = 0;
let cut = 0;
const sockets = new Set<Socket>();
const statuses: Record<string, number> = {};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function open(localAddress: string): Socket {
  const socket = connect({ ...at, localAddress });
  sockets.add(socket);
  socket.on('connect', () => (opened += 1));
  socket.on('error', () => {});
  socket.on('close', () => {
    sockets.delete(socket);
    cut += 1;
  });
  return socket;
}

/** Keeps `count` connections open, each made by `openOne`: all are opened within two seconds, and again when they were cut. */
async function keepOpen(count: number, openOne: () => void): Promise<void> {
  while (!isOver()) {
    for (let made = 0; sockets.size < count && made < count / 100; made += 1) openOne();
    await sleep(PACE_MS);
  }
}

/** Sends a byte a second after `head`, as long as possible. */
function sendSlowly(head: string): void {
  const socket = open(SOURCE);
  socket.write(head, 'latin1');
  socket.resume();
  const drip = setInterval(() => socket.write('a'), BYTE_MS);
  socket.on('close', () => clearInterval(drip));
}

const headOf = (method: string, path: string, more = ''): string =>
  `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${SECRET}\r\n${more}`;

function postOf(registration: object): string {
  const body = JSON.stringify(registration);
  const more = `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  return headOf('POST', '/api/v1/register', more) + body;
}

/** Accepts, and never answers a Heartbeat-1: each probe of these instances waits until it times out. */
const silentServer = createServer((socket) => {
  socket.on('error', () => {});
  socket.resume();
});
const silentPort = await new Promise<number>((resolve) => {
  silentServer.listen({ port: 0, host: '0.0.0.0', backlog: 4_096 }, () => {
    const address = silentServer.address();
    resolve(typeof address === 'object' && address !== null ? address.port : 0);
  });
});

function registrationOf(index: number): object {
  const host = `127.9.${(index >> 8) & 255}.${index & 255}`;
  const service = `flood-${index % 10}`;
  const endpoints = [{ protocol: 'tcp', host, port: silentPort }];
  return { id: `${service}-${String(index).padStart(12, '0')}`, secret: SECRET, service, endpoints };
}

const largeRegistration = (index: number): object => ({
  ...registrationOf(index),
  id: `flood-long-${String(index).padStart(12, '0')}`,
  service: 'flood-long',
  metadata: { note: '.'.repeat(3_900) },
});

function sendHeartbeats(socket: Socket, atATime: number): void {
  const body = '{"nonce":null,"seq":1}';
  const more = `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const beats = (headOf('POST', '/api/v1/instances/unknown-1/heartbeat', more) + body).repeat(atATime);
  let due = 0;
  const send = (): void => {
    due = atATime;
    socket.write(beats, 'latin1');
  };
  socket.on('connect', send).on('data', (bytes) => {
    for (const [, status = ''] of bytes.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
      statuses[status] = (statuses[status] ?? 0) + 1;
      due -= 1;
    }
    if (due <= 0 && !isOver()) send();
  });
}

/**
 * Small ones: the kernel keeps up to 4 MB (net.ipv4.tcp_wmem) of an unread stream, of all sockets together at most
 * net.ipv4.tcp_mem, and beyond that drops packets of all connections: a different question.
 */
const changeOf = (made: number): string => postOf({ ...registrationOf(made % 100), version: `v${made}` });

/** Sends one request after another over a kept connection, and counts the answers. `pauseMs`: the pause before each. */
function sendInSequence(next: () => string | null, pauseMs: (now: number) => number = () => 0): Promise<void> {
  return new Promise((resolve) => {
    const socket = open(SOURCE);
    const send = (): void => {
      const pause = pauseMs(performance.now());
      if (pause > 0) setTimeout(sendNow, pause);
      else sendNow();
    };
    const sendNow = (): void => {
      const text = isOver() ? null : next();
      if (text === null) socket.destroy();
      else socket.write(text, 'latin1');
    };
    socket.on('data', (bytes) => {
      // each answer arrives in one chunk
      const status = bytes.toString('latin1', 9, 12);
      statuses[status] = (statuses[status] ?? 0) + 1;
      send();
    });
    socket.on('close', () => resolve());
    socket.on('connect', send);
  });
}

function begin({ url }: Order): void {
  const { hostname, port } = new URL(url);
  at = { host: hostname, port: Number(port) };
}

answerQuestions({
  /**
   * `count` registrations, each of another instance, over 256 connections. Resolves when all are answered, or it is
   * stopped.
   */
  register: async (order: Order) => {
    begin(order);
    let sent = 0;
    const next = (): string | null => (sent < order.count ? postOf(registrationOf(sent++)) : null);
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: 256 }, () => sendInSequence(next)));
    return { seconds: (performance.now() - startedAt) / 1_000, statuses };
  },
  /** `count` connections that send nothing. */
  idle: async (order: Order) => {
    begin(order);
    void keepOpen(order.count, () => void open(SOURCE).resume());
    return null;
  },
  /** Half of them send a header, half a body, a byte a second. */
  slow: async (order: Order) => {
    begin(order);
    let made = 0;
    const more = 'content-type: application/json\r\ncontent-length: 10000\r\n\r\n{"id":"';
    void keepOpen(order.count, () => {
      made += 1;
      sendSlowly(
        made % 2 === 0 ? headOf('GET', '/api/v1/services', 'x-slow: ') : headOf('POST', '/api/v1/register', more),
      );
    });
    return null;
  },
  /** `count` watchers of everything that never read, and 5,000 changes a minute. */
  nonReading: async (order: Order) => {
    begin(order);
    void keepOpen(order.count, () => {
      open(SOURCE)
        .pause()
        .write(headOf('GET', '/api/v1/watch?service=*', '\r\n'), 'latin1');
    });
    const startedAt = performance.now();
    let made = 0;
    void sendInSequence(
      () => changeOf((made += 1)),
      (due) => startedAt + made * CHANGE_MS - due,
    );
    return null;
  },
  /**
   * Heartbeats of an unknown instance, over `count` connections: eight at a time, and the next when those are answered.
   */
  beats: async (order: Order) => {
    begin(order);
    void keepOpen(order.count, () => sendHeartbeats(open(SOURCE), 8));
    return null;
  },
  /** 1,000 instances with the maximum metadata, and `count` connections that request all of them and never read. */
  unread: async (order: Order) => {
    begin(order);
    let made = 0;
    const next = (): string | null => (made < 1_000 ? postOf(largeRegistration(made++)) : null);
    await Promise.all(Array.from({ length: 16 }, () => sendInSequence(next)));
    void keepOpen(order.count, () => {
      open(SOURCE)
        .pause()
        .write(headOf('GET', '/api/v1/services/flood-long', '\r\n'), 'latin1');
    });
    return null;
  },
  state: async () => ({ open: sockets.size, opened, cut, statuses }),
  stop: async () => {
    over.abort();
    for (const socket of sockets) socket.destroy();
    return null;
  },
});
process.send?.('ready');
