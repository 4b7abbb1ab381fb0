// An instance that implements Nest's frames and HTTP by itself, for what no Nest server does: `<registry> <service>
// <notes> <fault>`. SIGUSR2 turns the fault on: `half`, it sends the first half of an answer and resets the connection;
// `mute`, it answers Heartbeat-1 and nothing else. With `full` it does neither, but has an accept queue for one.
import { openSync, writeSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { Rollcall } from '@rollcall/client';
import { encodeFrame, FrameDecoder, HEARTBEAT_PATH, HEARTBEAT_PATTERN } from '@rollcall/core';

const [registry, service, notesPath, fault] = process.argv.slice(2);
const BACKLOG = fault === 'full' ? 1 : 511;
/** The time for sent data to arrive before the connection is reset. */
const HALF_MS = 5;
/** As in `worker.mjs`: the duration of an answer. */
const ANSWER_MS = { find: 2, book: 80 };

const notes = openSync(notesPath, 'a');
const rollcall = new Rollcall({ registry, service, version: '2', metadata: { pid: String(process.pid) } });
let isFaulty = false;
const breaksOff = () => isFaulty && fault === 'half';
process.on('SIGUSR2', () => {
  isFaulty = true;
  console.log('faulty');
});

/** Null: it is not answered. */
function heartbeat(question) {
  const answer = rollcall.answer(question);
  return isFaulty && fault === 'mute' && answer.nonce === null ? null : answer;
}

function execute(verb, id, answer) {
  writeSync(notes, `${service} ${verb} ${id}\n`);
  if (!isFaulty || fault !== 'mute') setTimeout(() => answer({ instance: rollcall.id }), ANSWER_MS[verb]);
}

const cut = new WeakSet();

/** Sends the beginning of an answer, then nothing more. */
function breakOff(socket, beginning) {
  if (cut.has(socket)) return;
  cut.add(socket);
  console.log('broke off');
  socket.write(beginning);
  setTimeout(() => socket.resetAndDestroy(), HALF_MS);
}

function onFrame(socket, { pattern, data, id }) {
  if (pattern !== HEARTBEAT_PATTERN) {
    return execute(pattern, data.id, (response) => {
      const frame = encodeFrame({ response, isDisposed: true, id });
      if (breaksOff()) breakOff(socket, frame.slice(0, frame.length / 2));
      else socket.write(frame);
    });
  }
  const answer = heartbeat(data);
  if (answer === null) return;
  socket.write(encodeFrame({ response: answer, isDisposed: true, id }));
  if (answer.nonce !== null && data.keep !== true) socket.destroySoon();
}

const tcp = createServer((socket) => {
  const decoder = new FrameDecoder();
  socket.setNoDelay(true).on('error', () => socket.destroy());
  socket.on('data', (bytes) => decoder.push(bytes).frames.forEach((frame) => onFrame(socket, frame)));
});

async function onRequest(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://wire');
  const body = (await request.toArray()).join('');
  if (pathname !== HEARTBEAT_PATH) {
    return execute(pathname.slice(1), searchParams.get('id'), (answer) => {
      const json = JSON.stringify(answer);
      const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${json.length}\r\n\r\n`;
      if (breaksOff()) breakOff(request.socket, head + json.slice(0, json.length / 2));
      else response.setHeader('content-type', 'application/json').end(json);
    });
  }
  const question = JSON.parse(body);
  const answer = heartbeat(question);
  if (answer === null) return;
  if (answer.nonce !== null && question.keep !== true) response.setHeader('connection', 'close');
  response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
}

const http = createHttpServer((request, response) => void onRequest(request, response));

async function port(server) {
  server.listen({ port: 0, host: '127.0.0.1', backlog: BACKLOG });
  await once(server, 'listening');
  return server.address().port;
}

rollcall.register([
  { protocol: 'tcp', port: await port(tcp) },
  { protocol: 'http', port: await port(http) },
]);
