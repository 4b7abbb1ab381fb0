import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type {
  Beat,
  BeatAnswer,
  Drain,
  DrainAnswer,
  Frame,
  Instance,
  Problem,
  ProblemCode,
  Registered,
  Registration,
  Result,
  ServiceViewAnswer,
  Suspicion,
} from '@rollcall/core';
import { RollcallError } from '@rollcall/core';
import type { Line } from '../discovery/feed.js';
import type {
  Answer,
  BeatOptions,
  RegistryClient,
  PollRequest,
  Proof,
  Watch,
  WatchRequest,
  WatchSink,
} from './registry-client.js';

export const EPOCH = '0192f3a0-0000-7000-8000-000000000001';

/** An instance as the registry publishes it. */
export function createInstance(fields: Partial<Instance> = {}): Instance {
  const service = fields.service ?? 'orders';
  return {
    id: `${service}-1`,
    service,
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3001, tls: false }],
    version: '1.0.0',
    zone: '',
    weight: 100,
    metadata: {},
    state: 'HEALTHY',
    reason: { code: 'BOTH_WAYS_OK', text: 'answers Heartbeat-1 and sends Heartbeat-2' },
    since: 1_790_000_000_000,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: 1_790_000_000_000,
    revision: 1,
    ...fields,
  };
}

/** The whole view of one service, as the answer to a poll. */
export function createView(instances: readonly Instance[], fields: Partial<ServiceViewAnswer> = {}): ServiceViewAnswer {
  const { service, namespace } = instances[0] ?? createInstance();
  return { namespace, service, epoch: EPOCH, revision: 1, settled: false, instances, removed: [], ...fields };
}

/** A whole view of one service in one frame. */
export function resetFrame(instances: readonly Instance[], revision = 1, epoch = EPOCH): Frame {
  const { service, namespace } = instances[0] ?? createInstance();
  return {
    event: 'reset',
    data: { namespace, service, epoch, revision, part: 0, complete: true, instances, removed: [] },
  };
}

export function problemOf(code: ProblemCode): Problem {
  return { code, detail: `It is ${code}.`, fix: 'Do something.' };
}

/** The answer of a registry: a value, a refusal, or none because the registry is unreachable. */
type Reply<Value> = Result<Value, Problem> | 'unreachable';

/** A fake registry: a test sets its next answers, and inspects the requests. */
export class FakeLink implements RegistryClient {
  readonly name: string;
  readonly registrations: Registration[] = [];
  readonly beats: Beat[] = [];
  /** For each beat, whether it requested a connection of its own. */
  readonly fresh: boolean[] = [];
  readonly suspicions: (Suspicion & { readonly id: string })[] = [];
  readonly drains: Drain[] = [];
  readonly goodbyes: Proof[] = [];
  readonly streams: FakeStream[] = [];
  readonly polls: FakePoll[] = [];
  isClosed = false;
  intervalMs = 5_000;
  freshEvery = 1;
  /** How often the shared connection of beats was released. */
  releases = 0;
  onRegister: (registration: Registration) => Reply<null> = () => ({ ok: true, value: null });
  onBeat: (beat: Beat) => Reply<BeatAnswer> = () => ({ ok: true, value: { state: 'HEALTHY', revision: 2 } });
  onDrain: () => Reply<DrainAnswer> = () => ({ ok: true, value: { watchers: 2 } });
  onLeave: () => Reply<null> = () => ({ ok: true, value: null });
  onSuspect: (id: string) => Reply<null> = () => ({ ok: true, value: null });

  constructor(name = 'http://registry.test') {
    this.name = name;
  }

  async register(registration: Registration): Answer<Registered> {
    this.registrations.push(registration);
    const taken = answered(this.onRegister(registration));
    if (!taken.ok) return taken;
    const { id, service } = registration;
    const heartbeat = { intervalMs: this.intervalMs, timeoutMs: 2_000, freshEvery: this.freshEvery };
    const instance = createInstance({ id, service, state: 'REGISTERING' });
    return { ok: true, value: { instance, epoch: EPOCH, revision: 1, heartbeat, registries: [this.name] } };
  }

  async beat(_proof: Proof, beat: Beat, { fresh }: BeatOptions = { fresh: true }): Answer<BeatAnswer> {
    this.beats.push(beat);
    this.fresh.push(fresh);
    return answered(this.onBeat(beat));
  }

  releaseConnection(): void {
    this.releases += 1;
  }

  async suspect(id: string, suspicion: Suspicion): Answer<null> {
    this.suspicions.push({ id, ...suspicion });
    return answered(this.onSuspect(id));
  }

  async drain(_proof: Proof, drain: Drain): Answer<DrainAnswer> {
    this.drains.push(drain);
    return answered(this.onDrain());
  }

  async leave(proof: Proof): Answer<null> {
    this.goodbyes.push(proof);
    return answered(this.onLeave());
  }

  watch(request: WatchRequest, sink: WatchSink): Watch {
    const stream = new FakeStream(request, sink);
    this.streams.push(stream);
    return stream;
  }

  poll(request: PollRequest): Answer<ServiceViewAnswer> {
    const poll = new FakePoll(request);
    this.polls.push(poll);
    return poll.answer;
  }

  /** The last request. */
  get lastPoll(): FakePoll {
    const last = this.polls.at(-1);
    if (last === undefined) throw new Error('Nothing was polled.');
    return last;
  }

  /** The last opened stream. */
  get stream(): FakeStream {
    const last = this.streams.at(-1);
    if (last === undefined) throw new Error('No watch was opened.');
    return last;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const stream of this.streams) stream.close();
  }
}

/** One poll of a service, as the registry sees it. */
export class FakePoll {
  readonly request: PollRequest;
  readonly answer: Answer<ServiceViewAnswer>;
  #settle: (reply: Reply<ServiceViewAnswer>) => void = () => {};

  constructor(request: PollRequest) {
    this.request = request;
    const reply = new Promise<Reply<ServiceViewAnswer>>((resolve) => (this.#settle = resolve));
    this.answer = reply.then(answered);
  }

  /** Resolves once the client has processed the answer. */
  async reply(reply: Reply<ServiceViewAnswer>): Promise<void> {
    this.#settle(reply);
    await this.answer.catch(() => undefined);
    await Promise.resolve();
  }
}

/** One watch, as the registry sees it. */
export class FakeStream implements Watch {
  readonly request: WatchRequest;
  readonly #sink: WatchSink;
  isClosed = false;

  constructor(request: WatchRequest, sink: WatchSink) {
    this.request = request;
    this.#sink = sink;
  }

  /** Accepts the watch and flushes these frames. */
  accept(frames: readonly Frame[] = [], revision = 1, epoch = EPOCH): void {
    this.#sink.opened();
    this.flush(frames, revision, epoch);
  }

  /** Accepts the watch without sending any data. */
  openOnly(): void {
    this.#sink.opened();
  }

  flush(frames: readonly Frame[], revision: number, epoch = EPOCH): void {
    for (const frame of frames) this.#sink.frame(frame);
    this.#sink.mark({ epoch, revision });
  }

  /** Frames whose cursor has not been sent yet. */
  send(frames: readonly Frame[]): void {
    for (const frame of frames) this.#sink.frame(frame);
  }

  /** Reports that no data has arrived for too long. */
  fallSilent(): void {
    this.#sink.silent?.();
    this.end();
  }

  end(problem: Problem | null = null): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#sink.closed(problem);
  }

  close(): void {
    this.end();
  }
}

function answered<Value>(reply: Reply<Value>): Result<Value, Problem> {
  if (reply === 'unreachable') throw new RollcallError('REGISTRY_UNREACHABLE', 'connect ECONNREFUSED');
  return reply;
}

/** The line as the registration sees it. */
export class FakeLine implements Line {
  readonly events: string[] = [];
  currentProof: Proof | null = null;

  proof(): Proof | null {
    return this.currentProof;
  }
  opened(): void {
    this.events.push('opened');
  }
  ended(): void {
    this.events.push('ended');
  }
  refused(problem: Problem): void {
    this.events.push(`refused ${problem.code}`);
    this.currentProof = null;
  }
  gone(): void {
    this.events.push('gone');
  }
}

/** A request as an HTTP server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface HttpRegistry {
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  readonly sockets: readonly Socket[];
  readonly server: Server;
  /** Also cuts every connection. May be called twice. */
  close(): Promise<void>;
}

/** An HTTP server on a free port that records its requests, and answers as the test sets. */
export async function startHttpRegistry(
  handle: (response: ServerResponse, seen: SeenRequest) => void,
): Promise<HttpRegistry> {
  const requests: SeenRequest[] = [];
  const sockets: Socket[] = [];
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    let body = '';
    request.on('data', (chunk) => (body += String(chunk)));
    request.on('end', () => {
      const seen = { method, url, headers, body };
      requests.push(seen);
      handle(response, seen);
    });
  });
  server.on('connection', (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const close = (): Promise<void> => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return { url: `http://127.0.0.1:${port}`, requests, sockets, server, close };
}
