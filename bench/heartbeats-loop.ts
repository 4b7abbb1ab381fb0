import { connect, createServer } from 'node:net';
import { answerQuestions } from './dialogue.js';

// The floor: the registry's part of the heartbeats in plain sockets of Node, the same bytes, and nothing else. It
// probes, reads, and lets the called side close; it accepts, reads, answers, and lets the caller close. Its arguments:
// the port of the crowd, the protocol, the number of instances, the interval in ms.

const [, , crowdPort = '0', protocol = 'tcp', count = '0', intervalMs = '5000'] = process.argv;
const TICK_MS = 1;
const NONCE = 'ABCDEFGHIJKLMNOPQRSTUV';

function requestOf(index: number): string {
  const instance = `crowd-${index % 100}-${String(index).padStart(12, '0')}`;
  const payload = { replica: 'replica-1234', instance, nonce: NONCE, purpose: 'beat', mac: 'a'.repeat(64) };
  if (protocol === 'tcp') {
    const frame = JSON.stringify({ pattern: 'rollcall.heartbeat-1', data: payload, id: NONCE });
    return `${frame.length}#${frame}`;
  }
  const body = JSON.stringify(payload);
  const fields = [`host: 127.1.0.0:${crowdPort}`, 'user-agent: rollcall', 'accept: application/json'];
  const head = [...fields, 'content-type: application/json', `content-length: ${body.length}`, 'connection: close'];
  return `POST /.well-known/rollcall/heartbeat-1 HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n${body}`;
}

function call(index: number): void {
  const host = `127.1.${index >> 8}.${index & 255}`;
  const socket = connect({ host, port: Number(crowdPort), autoSelectFamily: false });
  socket.on('connect', () => socket.write(requestOf(index), 'latin1'));
  socket.on('data', () => {});
  socket.on('error', () => {});
}

const body = '{"state":"HEALTHY","revision":12345}';
const ANSWER =
  'HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n' +
  `content-length: ${body.length}\r\ndate: Mon, 01 Jan 2026 00:00:00 GMT\r\nconnection: keep-alive\r\nkeep-alive: timeout=30\r\n\r\n${body}`;

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', () => socket.write(ANSWER, 'latin1'));
  socket.on('error', () => socket.destroy());
});

let next = 0;
let dueCalls = 0;
let lastTickAt = performance.now();
setInterval(() => {
  const now = performance.now();
  dueCalls += ((now - lastTickAt) / Number(intervalMs)) * Number(count);
  lastTickAt = now;
  for (; dueCalls >= 1; dueCalls -= 1) {
    call(next);
    next = (next + 1) % Number(count);
  }
}, TICK_MS);

answerQuestions({
  begin: async () => process.cpuUsage(),
  end: async () => ({ cpu: process.cpuUsage(), lateP99: 0, lagP99: 0 }),
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  const address = server.address();
  process.send?.(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`);
});
