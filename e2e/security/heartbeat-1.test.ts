import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SOON, Stage } from './stage.fixture.js';

/**
 * SSRF through Heartbeat-1, its second half: whatever was registered, and whoever is there, "a fixed tiny frame; read ≤ 1 KiB;
 * never follow, never echo". The targets here are no services but take down what they get.
 */

/** Written by the registrant wherever words are free: no target may ever see it. */
const MARK = 'MARK-of-the-registrant';
/** Said by a target: nobody may ever see it. */
const ANSWER = 'MARK-of-the-target';
const PROTOCOLS = ['tcp', 'http', 'grpc', 'heartbeat'] as const;
type Protocol = (typeof PROTOCOLS)[number];

let stage: Stage;
let token = '';
let operator = '';

beforeEach(async () => {
  stage = await Stage.make();
  token = await stage.token();
  operator = await stage.token({ role: 'operator', services: [] });
  await stage.start();
});
afterEach(() => stage.close());

interface Target {
  readonly port: number;
  /** What each connection brought, as latin-1. */
  readonly got: string[];
  /** Connections that are open now. */
  open: number;
}

/** Somebody who listens; `act` has each connection, once its first bytes are there. */
async function target(act: (socket: Socket) => void): Promise<Target> {
  const got: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const index = got.push('') - 1;
    sockets.add(socket);
    socket
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(socket);
        made.open -= 1;
      });
    made.open += 1;
    socket.setEncoding('latin1').on('data', (part: string) => {
      if (got[index] === '') act(socket);
      got[index] += part;
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stage.onClose(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const made: Target = { port: (server.address() as AddressInfo).port, got, open: 0 };
  return made;
}

async function register(protocol: Protocol, port: number): Promise<void> {
  const words = { version: MARK, zone: MARK.toLowerCase(), metadata: { [MARK]: MARK } };
  const { answer } = await stage.register(token, 'orders-1', { ...words, endpoints: [{ protocol, port }] });
  expect(answer.status).toBe(201);
}

async function error(): Promise<string> {
  const { body } = await stage.ask('/api/v1/instances/orders-1', { bearer: operator });
  return String(body?.heartbeats?.heartbeat1.error);
}

const CALL = String.raw`\{"replica":"[\w-]{8,64}","instance":"orders-1","nonce":"[\w-]{8,64}","purpose":"(?:beat|urgent)","mac":"[0-9a-f]{64}"\}`;
const HTTP = new RegExp(
  [
    '^POST /\\.well-known/rollcall/heartbeat-1 HTTP/1\\.1',
    'host: 127\\.0\\.0\\.1:\\d+',
    'user-agent: rollcall',
    'accept: application/json',
    'content-type: application/json',
    'content-length: \\d+',
    'connection: close',
    '',
    `${CALL}$`,
  ].join('\r\n'),
);
const FRAMES: Readonly<Record<Protocol, RegExp>> = {
  tcp: new RegExp(String.raw`^\d+#\{"pattern":"rollcall\.heartbeat-1","data":${CALL},"id":"[\w-]{8,64}"\}$`),
  http: HTTP,
  heartbeat: HTTP,
  // the preface of HTTP/2, settings, and one request with the same words in its head
  grpc: /^PRI \* HTTP\/2\.0\r\n\r\nSM\r\n\r\n[^]*orders-1[^]*$/,
};
const MOST_BYTES = 1_024;

describe.each(PROTOCOLS)('over %s', (protocol) => {
  it('a target gets one fixed tiny frame, in which the registrant has no word but its id', async () => {
    const { port, got } = await target(() => {});
    await register(protocol, port);
    await expect.poll(() => got.length, SOON).toBeGreaterThan(2);
    for (const bytes of got.slice(0, -1)) {
      expect(bytes).toMatch(FRAMES[protocol]);
      expect(bytes.length).toBeLessThan(MOST_BYTES);
      expect(bytes.toLowerCase()).not.toContain(MARK.toLowerCase());
    }
  });

  it('one that answers without end is cut off, and that is told without its words', async () => {
    let sent = 0;
    const { port, got } = await target((socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(ANSWER.repeat(1_000))) sent += ANSWER.length * 1_000;
      };
      socket.on('drain', more);
      more();
    });
    await register(protocol, port);
    await expect.poll(() => got.length, SOON).toBeGreaterThan(2);
    await expect.poll(error, SOON).toMatch(/answers/);
    await notEchoed();
    // what the kernels hold, and no more: nobody reads it
    expect(sent / got.length).toBeLessThan(16_000_000);
  });

  it('one that answers byte by byte is cut off at the timeout', async () => {
    const drops = new Set<NodeJS.Timeout>();
    const one = await target((socket) => {
      const drop = setInterval(() => socket.write('1'), 10);
      drops.add(drop);
      socket.on('close', () => clearInterval(drop));
    });
    stage.onClose(() => drops.forEach((drop) => clearInterval(drop)));
    await register(protocol, one.port);
    await expect.poll(error, SOON).toMatch(/no answer within 120 ms|answers/);
    // the target closes none: the registry does, though it is patient with a farewell
    await expect.poll(() => one.got.length - one.open, SOON).toBeGreaterThan(2);
    expect(one.open).toBeLessThan(20);
  });
});

it('a redirect is no answer, and nobody goes where it leads', async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const elsewhere = await target(() => {});
    const { port, got } = await target((socket) => {
      const location = `http://127.0.0.1:${elsewhere.port}/${ANSWER}`;
      socket.end(
        `HTTP/1.1 ${status} ${ANSWER}\r\nlocation: ${location}\r\nrefresh: 0;url=${location}\r\ncontent-length: 0\r\n\r\n`,
      );
    });
    await register('http', port);
    await expect.poll(() => got.length, SOON).toBeGreaterThan(1);
    await expect.poll(error, SOON).toContain(`status ${status}`);
    expect(elsewhere.got).toEqual([]);
  }
  await notEchoed();
});

it('what a target says is nowhere: no body, no header, no word of another protocol', async () => {
  const answers = [
    `HTTP/1.1 200 OK\r\ncontent-length: ${ANSWER.length}\r\n\r\n${ANSWER}`,
    `HTTP/1.1 401 ${ANSWER}\r\nwww-authenticate: ${ANSWER}\r\ncontent-length: 0\r\n\r\n`,
    `HTTP/1.1 200 OK\r\n\r\n{"instance":"${ANSWER}","nonce":"${ANSWER}"}`,
    `SSH-2.0-${ANSWER}\r\n`,
    `220 ${ANSWER} ESMTP\r\n`,
    `-ERR ${ANSWER}\r\n`,
    `${ANSWER.length + 2}#"${ANSWER}"`,
    `\u0000\u0000\u0000\u0004\u0000\u0000\u0000\u0000\u0000${ANSWER}`,
  ];
  for (const protocol of PROTOCOLS) {
    for (const text of answers) {
      const { port, got } = await target((socket) => socket.end(text, 'latin1'));
      await register(protocol, port);
      await expect.poll(() => got.length, SOON).toBeGreaterThan(0);
    }
  }
  await expect.poll(error, SOON).not.toBe('null');
  await notEchoed();
});

/** In no answer, stream or line of the log. */
async function notEchoed(): Promise<void> {
  for (const path of [
    'instances/orders-1',
    'instances/orders-1/timeline',
    'services/orders',
    'events',
    'registry',
    'topology',
  ]) {
    await stage.ask(`/api/v1/${path}`, { bearer: operator });
  }
  const said = [...stage.answers, ...stage.log.texts()];
  expect(said.filter((text) => text.includes(ANSWER))).toEqual([]);
  expect(said.length).toBeGreaterThan(6);
}
