import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { answerQuestions } from './dialogue.js';

// The baseline of a registry: as many bytes, written to as many sockets in one loop, by a process that does nothing else.

/** As long as one change of the benchmark. */
const CHANGE_BYTES = 600;
const watchers = new Set<Socket>();

function change(request: string): Buffer {
  const [version = ''] = /"version":"[^"]*"/.exec(request) ?? [];
  return Buffer.from(`${version.padEnd(CHANGE_BYTES)}\n`);
}

const server = createServer((socket) => {
  socket.setNoDelay(true).on('error', () => {});
  socket.on('close', () => watchers.delete(socket));
  socket.once('data', (bytes) => {
    const request = bytes.toString('latin1');
    if (request.startsWith('GET')) {
      watchers.add(socket);
      socket.write('\nid: 0\n\n');
      return;
    }
    socket.write('HTTP/1.1 201 Created\r\n\r\n');
    const flush = change(request);
    for (const watcher of watchers) watcher.write(flush);
  });
});

answerQuestions({});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  const address = server.address();
  process.send?.(`http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`);
});
