import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** The fate of requests: answered, never answered, or their connection cut. */
export type Manner = 'answer' | 'hang' | 'cut';

/** A proxy to the registry that a test can slow down and block. */
export interface HoldingProxy {
  readonly url: string;
  /** For all requests but streams and files, from now on. */
  questions: Manner;
  /** For new streams. */
  streams: Manner;
  /** Forwards only this many events of each stream, until `release`. */
  holdAfter(events: number): void;
  release(): void;
  /** Cuts the open streams. */
  cutStreams(): void;
  close(): Promise<void>;
}

const STREAM = '/api/v1/watch';

class Held {
  readonly answer: ServerResponse;
  #waiting = '';
  #seen = 0;
  #most: number;

  constructor(answer: ServerResponse, most: number) {
    this.answer = answer;
    this.#most = most;
  }

  /** Forwards whole events only. */
  take(text: string): void {
    this.#waiting += text;
    for (let end = this.#waiting.indexOf('\n\n'); end >= 0 && this.#seen < this.#most;) {
      this.answer.write(this.#waiting.slice(0, end + 2));
      this.#waiting = this.#waiting.slice(end + 2);
      this.#seen += 1;
      end = this.#waiting.indexOf('\n\n');
    }
  }

  release(): void {
    this.#most = Infinity;
    this.take('');
  }
}

export async function openHolding(registry: string): Promise<HoldingProxy> {
  const target = new URL(registry);
  const held = new Set<Held>();
  const sockets = new Set<Socket>();
  let most = Infinity;
  const server = createServer((question, answer) => {
    const { url = '/' } = question;
    const isStream = url.startsWith(STREAM);
    const manner = isStream ? proxy.streams : url.startsWith('/api/') ? proxy.questions : 'answer';
    if (manner === 'cut') question.socket.destroy();
    else if (manner === 'answer') pass(question, answer, target, isStream ? (reply) => stream(reply, answer) : null);
  });
  const stream = (reply: IncomingMessage, answer: ServerResponse): void => {
    const one = new Held(answer, most);
    held.add(one);
    answer.on('close', () => held.delete(one));
    reply.setEncoding('utf8').on('data', (text: string) => one.take(text));
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
    questions: 'answer',
    streams: 'answer',
    holdAfter: (events) => void (most = events),
    release: () => {
      most = Infinity;
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

function pass(
  question: IncomingMessage,
  answer: ServerResponse,
  target: URL,
  stream: ((reply: IncomingMessage) => void) | null,
): void {
  const { url = '/', method, headers } = question;
  // held streams must be readable
  const asked = stream === null ? headers : { ...headers, 'accept-encoding': 'identity' };
  const onward = request({ host: target.hostname, port: target.port, path: url, method, headers: asked }, (reply) => {
    answer.writeHead(reply.statusCode ?? 502, reply.headers);
    answer.flushHeaders();
    if (stream === null) reply.pipe(answer);
    else stream(reply);
  });
  onward.on('error', () => answer.destroy());
  answer.on('close', () => onward.destroy());
  question.pipe(onward);
}
