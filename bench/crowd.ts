/**
 * Many instances in one process, without Nest, so that fifty cost little: `<registry url> <service>=<count> …`. Each
 * has a client of its own and a TCP server that only answers identity checks. For benchmarks, and for tests with real
 * processes.
 */
import { Rollcall } from '@rollcall/client';
import { encodeFrame, FrameDecoder } from '@rollcall/core';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

interface RequestFrame {
  readonly id: string;
  readonly data: unknown;
}

const isRequestFrame = (frame: unknown): frame is RequestFrame =>
  typeof frame === 'object' && frame !== null && 'id' in frame && 'data' in frame;

const asksToKeepOpen = (data: unknown): boolean =>
  typeof data === 'object' && data !== null && 'keep' in data && data.keep === true;

/**
 * Answers Heartbeat-1, and identity checks of callers. The called side closes after a Heartbeat-1, which has a nonce,
 * unless the next one arrives over the same connection.
 */
function answer(socket: Socket, rollcall: Rollcall): void {
  const decoder = new FrameDecoder();
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes: Uint8Array) => {
    const { frames, failure } = decoder.push(bytes);
    if (failure !== null) socket.destroy();
    for (const frame of frames) {
      if (!isRequestFrame(frame)) continue;
      const response = rollcall.answer(frame.data);
      socket.write(encodeFrame({ id: frame.id, response, isDisposed: true }));
      if (response.nonce !== null && !asksToKeepOpen(frame.data)) socket.destroySoon();
    }
  });
}

async function startInstance(registry: string, service: string): Promise<string> {
  const rollcall = new Rollcall({ registry, service, metadata: { pid: String(process.pid) } });
  const server = createServer((socket) => answer(socket, rollcall)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  rollcall.register([{ protocol: 'tcp', port }]);
  return rollcall.id;
}

const [url = '', ...specs] = process.argv.slice(2);
const names = specs.flatMap((spec) => {
  const [service = '', count = '1'] = spec.split('=');
  return Array.from({ length: Number(count) }, () => service);
});
const ids = await Promise.all(names.map((service) => startInstance(url, service)));
const readyMessage = JSON.stringify({ pid: process.pid, ids });
if (process.send === undefined) console.log(readyMessage);
else process.send(readyMessage);
// with an IPC channel, the parent has started this process for itself
process.on('disconnect', () => process.exit());
