import { once } from 'node:events';
import { createServer } from 'node:http2';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServerReadableStream, ServerWritableStream } from '@grpc/grpc-js';
import type { Instance, RollcallError } from '@rollcall/core';
import { onTestFinished } from 'vitest';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { answer, frameOf } from '../transport/grpc/grpc.fixture.js';
import type { MessageSource } from '../transport/grpc/upload.js';
import type { StreamObserver } from './calls.js';

const json = {
  requestSerialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
  requestDeserialize: (bytes: Buffer): unknown => JSON.parse(bytes.toString()),
  responseSerialize: (value: unknown) => Buffer.from(JSON.stringify(value)),
  responseDeserialize: (bytes: Buffer): unknown => JSON.parse(bytes.toString()),
};
export const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/toys.Toy/${name}`,
  requestStream,
  responseStream,
  ...json,
});
export const TOY = {
  Count: method('Count', false, true),
  Sum: method('Sum', true, false),
  Chat: method('Chat', true, true),
};
export const HARMLESS = { options: { idempotency_level: 'NO_SIDE_EFFECTS' } } as const;

/** The number of concurrent requests per connection that the test server accepts. */
export const MAX_CONCURRENT = 10;

/** A grpc-js server that records the requests it receives. */
class Toy {
  readonly server = new Server({ 'grpc.max_concurrent_streams': MAX_CONCURRENT });
  readonly received: unknown[] = [];
  cancelled = 0;
  port = 0;

  constructor() {
    this.server.addService(TOY, {
      Count: (call: ServerWritableStream<number, number>) => {
        this.received.push(call.request);
        for (let n = 1; n <= call.request; n += 1) call.write(n);
        if (call.request < 0) call.on('cancelled', () => (this.cancelled += 1));
        else call.end();
      },
      Sum: (call: ServerReadableStream<number, number>, done: (error: null, sum: number) => void) => {
        let sum = 0;
        call.on('cancelled', () => (this.cancelled += 1));
        call.on('data', (n: number) => {
          this.received.push(n);
          sum += n;
          if (n < 0) done(null, n);
        });
        call.on('end', () => done(null, sum));
      },
      Chat: (call: ServerDuplexStream<string, string>) => {
        call.on('cancelled', () => (this.cancelled += 1));
        call.on('data', (text: string) => {
          if (text === 'over') call.end();
          else if (text === 'wrong') call.emit('error', { code: 3, details: 'an invalid message' });
          else call.write(`${text}!`);
        });
        call.on('end', () => call.end());
      },
    });
  }
}

export async function toy(): Promise<Toy> {
  const made = new Toy();
  made.port = await new Promise<number>((resolve, reject) => {
    made.server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
  onTestFinished(() => made.server.forceShutdown());
  return made;
}

async function serving(settings: { maxConcurrentStreams?: number }, take: (stream: ServerHttp2Stream) => void) {
  const server = createServer({ settings });
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session) => sessions.push(session));
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    take(stream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, connections: () => sessions.length };
}

/** A server that counts requests and breaks the connection as soon as one has arrived. */
export async function breaker() {
  const seen = { requests: 0, port: 0 };
  const { port } = await serving({}, (stream) => {
    seen.requests += 1;
    stream.once('data', () => stream.session?.destroy());
  });
  return Object.assign(seen, { port });
}

/** A server that answers after the first data and then stops reading. It takes two requests of a connection at a time. */
export function impatient() {
  return serving({ maxConcurrentStreams: 2 }, (stream) => {
    stream.once('data', () => {
      stream.pause();
      answer(stream, frameOf(Buffer.from('0')));
    });
  });
}

/** The source `api` means that the identity of the instance is not checked. */
export function instanceAt(id: string, port: number): Instance {
  return createInstance({ id, source: 'api', endpoints: [{ protocol: 'grpc', host: '127.0.0.1', port, tls: false }] });
}

/** A source whose messages a test sends one by one. */
export class Tap<Message> implements MessageSource<Message> {
  subscriptions = 0;
  isWanted = false;
  next: (message: Message) => void = () => {};
  error: (error: unknown) => void = () => {};
  complete: () => void = () => {};
  readonly #first: readonly Message[];
  readonly #ends: boolean;

  /** `first` are the messages sent on subscription. */
  constructor(first: readonly Message[] = [], ends = false) {
    this.#first = first;
    this.#ends = ends;
  }

  subscribe(observer: { next(message: Message): void; error(error: unknown): void; complete(): void }) {
    this.subscriptions += 1;
    this.isWanted = true;
    this.next = (message) => observer.next(message);
    this.error = (error) => observer.error(error);
    this.complete = () => observer.complete();
    for (const message of this.#first) observer.next(message);
    if (this.#ends) observer.complete();
    return { unsubscribe: () => void (this.isWanted = false) };
  }
}

export class Kept implements StreamObserver {
  readonly values: unknown[] = [];
  end: 'complete' | RollcallError | null = null;
  readonly over: Promise<void>;
  #notify: () => void = () => {};

  constructor() {
    this.over = new Promise((resolve) => {
      this.#notify = resolve;
    });
  }

  next(value: unknown): void {
    this.values.push(value);
  }

  error(error: RollcallError): void {
    this.end = error;
    this.#notify();
  }

  complete(): void {
    this.end = 'complete';
    this.#notify();
  }
}
