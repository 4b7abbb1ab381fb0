import type { Rollcall } from '@rollcall/client';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** Registers a service at a server of its own, which answers Heartbeat-1 and nothing else. */
export async function openService(rollcall: Rollcall, server: Server | SecureServer = createServer()) {
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const answer = rollcall.answer(JSON.parse(Buffer.concat(parts).toString()));
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  rollcall.register([{ protocol: 'http', port, tls: server instanceof SecureServer }]);
  const close = async (): Promise<void> => {
    await rollcall.close();
    server.closeAllConnections();
    server.close();
  };
  return { port, close };
}
