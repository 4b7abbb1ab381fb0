import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Proxy {
  /** The URL of the registry's page, with a trailing slash. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Behaves like nginx with `location /ops/rollcall/ { proxy_pass http://registry/; proxy_set_header Host $http_host;
 * proxy_buffering off; }`.
 */
export async function startPrefixProxy(registry: string, prefix: string): Promise<Proxy> {
  const target = new URL(registry);
  const server = createServer((question, answer) => pass(question, answer, target, prefix));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${prefix}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pass(question: IncomingMessage, answer: ServerResponse, target: URL, prefix: string): void {
  const { url = '/', method, headers } = question;
  if (!url.startsWith(prefix)) {
    answer.writeHead(404).end('not here');
    return;
  }
  const onward = request(
    { host: target.hostname, port: target.port, path: `/${url.slice(prefix.length)}`, method, headers },
    (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      answer.flushHeaders();
      reply.pipe(answer);
    },
  );
  onward.on('error', () => answer.destroy());
  answer.on('close', () => onward.destroy());
  question.pipe(onward);
}
