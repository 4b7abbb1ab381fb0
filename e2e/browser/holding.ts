import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** The fate of requests: answered, never answered, or their connection cut. */
export type ResponseMode = 'answer' | 'hang' | 'cut';

/** A proxy to the registry that a test can slow down and block. */
export interface HoldingProxy {
  readonly url: string;
  /** For all requests but streams and files, from now on. */
  requests: ResponseMode;
  /** For new streams. */
  streams: ResponseMode;
  /** Forwards only this many events of each stream, until `release`. */
  holdAfter(events: number): void;
  release(): void;
  /** Cuts the open streams. */
  cutStreams(): void;
  close(): Promise<void>;
}

const STREAM = '/api/v1/watch';

class HeldStream {
  readonly answer: ServerResponse;
  #waiting = '';
  #seen = 0;
  #maxEvents: number;

  constructor(answer: ServerResponse, maxEvents: number) {
    this.answer = answer;
    this.#maxEvents = maxEvents;
  }

  /** Forwards whole events only. */
  append(text: string): void {
    this.#waiting += text;
    for (let end = this.#waiting.indexOf('\n\n'); end >= 0 && this.#seen < this.#maxEvents;) {
      this.answer.write(this.#waiting.slice(0, end + 2));
      this.#waiting = this.#waiting.slice(end + 2);
      this.#seen += 1;
      end = this.#waiting.indexOf('\n\n');
    }
  }

  release(): void {
    this.#maxEvents = Infinity;
    this.append('');
  }
}

export async function startHoldingProxy(registry: string): Promise<HoldingProxy> {
  const target = new URL(registry);
  const held = new Set<HeldStream>();
  const sockets = new Set<Socket>();
  let maxEvents = Infinity;
  const server = createServer((clientRequest, answer) => {
    const { url = '/' } = clientRequest;
    const isStream = url.startsWith(STREAM);
    const mode = isStream ? proxy.streams : url.startsWith('/api/') ? proxy.requests : 'answer';
    if (mode === 'cut') clientRequest.socket.destroy();
    else if (mode === 'answer')
      forward(clientRequest, answer, target, isStream ? (reply) => stream(reply, answer) : null);
  });
  const stream = (reply: IncomingMessage, answer: ServerResponse): void => {
    const one = new HeldStream(answer, maxEvents);
    held.add(one);
    answer.on('close', () => held.delete(one));
    reply.setEncoding('utf8').on('data', (text: string) => one.append(text));
    reply.on('end', () => answer.end());
  };
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const proxy: HoldingProxy = {
    url: `http://127.0.0.1:${port}`,
    requests: 'answer',
    streams: 'answer',
    holdAfter: (events) => void (maxEvents = events),
    release: () => {
      maxEvents = Infinity;
      for (const one of held) one.release();
    },
    cutStreams: () => {
      for (const { answer } of held) answer.destroy();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

function forward(
  clientRequest: IncomingMessage,
  answer: ServerResponse,
  target: URL,
  stream: ((reply: IncomingMessage) => void) | null,
): void {
  const { url = '/', method, headers } = clientRequest;
  // held streams must be readable
  const upstreamHeaders = stream === null ? headers : { ...headers, 'accept-encoding': 'identity' };
  const upstream = request(
    { host: target.hostname, port: target.port, path: url, method, headers: upstreamHeaders },
    (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      answer.flushHeaders();
      if (stream === null) reply.pipe(answer);
      else stream(reply);
    },
  );
  upstream.on('error', () => answer.destroy());
  answer.on('close', () => upstream.destroy());
  clientRequest.pipe(upstream);
}
