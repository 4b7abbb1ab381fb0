import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { POLL, Stage } from './stage.fixture.js';

/**
 * SSRF through Heartbeat-1, its second half: whatever was registered, and whatever answers, "a fixed tiny frame; read ≤
 * 1 KiB; never follow, never echo". The targets here are not services, they record what they receive.
 */

/** Set by the registrant in every free-text field: no target may ever receive it. */
const MARK = 'MARK-of-the-registrant';
/** Sent by a target: it may appear nowhere. */
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
  /** The data of each connection, as latin-1. */
  readonly received: string[];
  /** The number of open connections. */
  open: number;
}

/** A server; `act` gets each connection, once its first bytes have arrived. */
async function startTarget(act: (socket: Socket) => void): Promise<Target> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const index = received.push('') - 1;
    sockets.add(socket);
    socket
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(socket);
        made.open -= 1;
      });
    made.open += 1;
    socket.setEncoding('latin1').on('data', (part: string) => {
      if (received[index] === '') act(socket);
      received[index] += part;
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stage.onClose(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const made: Target = { port: (server.address() as AddressInfo).port, received, open: 0 };
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
const MAX_BYTES = 1_024;

describe.each(PROTOCOLS)('over %s', (protocol) => {
  it('a target gets one fixed tiny frame, which contains nothing of the registrant but its id', async () => {
    const { port, received } = await startTarget(() => {});
    await register(protocol, port);
    await expect.poll(() => received.length, POLL).toBeGreaterThan(2);
    for (const bytes of received.slice(0, -1)) {
      expect(bytes).toMatch(FRAMES[protocol]);
      expect(bytes.length).toBeLessThan(MAX_BYTES);
      expect(bytes.toLowerCase()).not.toContain(MARK.toLowerCase());
    }
  });

  it('a target that answers without end is cut off, and the report does not contain its data', async () => {
    let sent = 0;
    const { port, received } = await startTarget((socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(ANSWER.repeat(1_000))) sent += ANSWER.length * 1_000;
      };
      socket.on('drain', more);
      more();
    });
    await register(protocol, port);
    await expect.poll(() => received.length, POLL).toBeGreaterThan(2);
    await expect.poll(error, POLL).toMatch(/answers/);
    await expectNotEchoed();
    // what the kernels buffer, and no more: the registry does not read it
    expect(sent / received.length).toBeLessThan(16_000_000);
  });

  it('a target that answers byte by byte is cut off at the timeout', async () => {
    const drops = new Set<NodeJS.Timeout>();
    const one = await startTarget((socket) => {
      const drop = setInterval(() => socket.write('1'), 10);
      drops.add(drop);
      socket.on('close', () => clearInterval(drop));
    });
    stage.onClose(() => drops.forEach((drop) => clearInterval(drop)));
    await register(protocol, one.port);
    await expect.poll(error, POLL).toMatch(/no answer within 120 ms|answers/);
    // the target closes no connection: the registry does, though it waits for a graceful close
    await expect.poll(() => one.received.length - one.open, POLL).toBeGreaterThan(2);
    expect(one.open).toBeLessThan(20);
  });
});

it('a redirect is not an answer, and is not followed', async () => {
  for (const status of [301, 302, 303, 307, 308]) {
    const elsewhere = await startTarget(() => {});
    const { port, received } = await startTarget((socket) => {
      const location = `http://127.0.0.1:${elsewhere.port}/${ANSWER}`;
      socket.end(
        `HTTP/1.1 ${status} ${ANSWER}\r\nlocation: ${location}\r\nrefresh: 0;url=${location}\r\ncontent-length: 0\r\n\r\n`,
      );
    });
    await register('http', port);
    await expect.poll(() => received.length, POLL).toBeGreaterThan(1);
    await expect.poll(error, POLL).toContain(`status ${status}`);
    expect(elsewhere.received).toEqual([]);
  }
  await expectNotEchoed();
});

it('the data of a target appears nowhere: no body, no header, no text of another protocol', async () => {
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
      const { port, received } = await startTarget((socket) => socket.end(text, 'latin1'));
      await register(protocol, port);
      await expect.poll(() => received.length, POLL).toBeGreaterThan(0);
    }
  }
  await expect.poll(error, POLL).not.toBe('null');
  await expectNotEchoed();
});

/** Expects it in no answer, stream or log line. */
async function expectNotEchoed(): Promise<void> {
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
  const outputs = [...stage.answers, ...stage.log.texts()];
  expect(outputs.filter((text) => text.includes(ANSWER))).toEqual([]);
  expect(outputs.length).toBeGreaterThan(6);
}
