import type { InstanceId, Log, Meter, Random, Suspicion, Time } from '@rollcall/core';
import { messageOf } from '@rollcall/core';
import { NOWHERE } from '../balance/caller-locality.js';
import type { CallerLocality } from '../balance/caller-locality.js';
import type { Services } from '../discovery/catalog.js';
import { ExternalChannel } from '../integrations/grpc-js/external-channel.js';
import type { EdgeStats } from '../telemetry/call-stats.js';
import { CallerEvents } from '../telemetry/events.js';
import type { CallerListener } from '../telemetry/events.js';
import { callInstruments } from '../telemetry/metrics.js';
import { GrpcTransport } from '../transport/grpc/grpc.js';
import { grpcRequest } from '../transport/grpc/message.js';
import type { GrpcMethod, GrpcRequest } from '../transport/grpc/message.js';
import type { MessageSource } from '../transport/grpc/upload.js';
import { HttpTransport } from '../transport/http/http.js';
import { httpRequest, isIdempotent, isOnce, isRepeatable, routeOf } from '../transport/http/message.js';
import type { HttpRequest } from '../transport/http/message.js';
import { HttpAnswer } from '../transport/http/response.js';
import type { TcpCodec } from '../transport/tcp/codec.js';
import type { TcpRequest } from '../transport/tcp/message.js';
import { TcpTransport } from '../transport/tcp/tcp.js';
import { SecureWay } from '../transport/tls.js';
import type { CallTracer } from '../transport/tracing.js';
import type { Transport } from '../transport/transport.js';
import { Call } from './call.js';
import { explain } from './explain.js';
import type { Explanation } from './explain.js';
import { Fallback } from './fallback.js';
import { grpcErrand, streamText } from './grpc-call.js';
import type { GrpcCall } from './grpc-call.js';
import { follow, LastValue, Listener, only } from './observers.js';
import type { StreamObserver } from './observers.js';
import { CALL, EVENT, ONE_WAY_CALL, SAFE_CALL, STREAM } from './policy/call-kind.js';
import type { Inherited, OneCall } from './policy/call-options.js';
import { HEDGE_TICK_MS } from './policy/hedge.js';
import { policyOf } from './policy/service-options.js';
import type { CallOptions } from './policy/service-options.js';
import { TimerWheel } from './policy/timer-wheel.js';
import { NO_WISHES, termsOf } from './resolved-options.js';
import { bulkheadError, closedError, deadlineError } from './service/call-error.js';
import { CallRequest } from './service/call-request.js';
import type { CallObserver } from './service/call-request.js';
import { CalledService } from './service/called-service.js';
import type { Surroundings } from './service/called-service.js';
import type { Upstream } from './service/upstream.js';
import { heed } from './signal.js';
import { tcpErrand } from './tcp-call.js';

export type { StreamObserver } from './observers.js';
export type { Inherited, OneCall } from './policy/call-options.js';

/** The ways to instances, one for each protocol. */
export interface CallTransports {
  readonly tcp: Transport<TcpRequest>;
  readonly http: Transport<HttpRequest>;
  readonly grpc?: Transport<GrpcRequest>;
}

export interface CallsParts {
  readonly time: Time;
  readonly random: Random;
  readonly meter: Meter;
  readonly log: Log;
  readonly services: Services;
  readonly options: CallOptions;
  /** Where the calls come from; default: from nowhere in particular, at 5 s between two heartbeats. */
  readonly locality?: CallerLocality;
  /** The ways to instances; default: TCP, HTTP and gRPC as in `options`. A test or a simulation hands in its own. They are closed, too. */
  readonly transports?: CallTransports;
  /** What the request that this code works for has left to its calls; asked once for each call. Default: no request, nothing. */
  readonly inherited?: () => Inherited | null;
  /** Default: nobody follows calls. */
  readonly tracer?: CallTracer;
  /** An instance failed us: the registry should have a look. Called for each failure. */
  suspect(instance: InstanceId, outcome: Suspicion['outcome']): void;
}

/**
 * Calls to services, whichever instance answers: deadline > fallback > bulkhead > attempts (retries and a hedge, within the budget) >
 * pick past the gates > attempt timeout > transport, with one outcome that all of them learn from. Every promise settles, by its deadline at the latest.
 */
export class Calls {
  readonly #parts: CallsParts;
  readonly #around: Surroundings;
  readonly #events: CallerEvents;
  readonly #callees = new Map<string, CalledService>();
  readonly #codecs = new Map<string, TcpCodec>();
  #isClosed = false;

  constructor(parts: CallsParts) {
    const { time, random, log, services, options } = parts;
    this.#parts = parts;
    this.#events = new CallerEvents(time, log);
    const secure = new SecureWay(options.tls, log);
    this.#around = {
      time,
      random,
      log,
      services,
      locality: parts.locality ?? NOWHERE,
      wheel: new TimerWheel(time),
      hedgeWheel: new TimerWheel(time, HEDGE_TICK_MS),
      instruments: callInstruments(parts.meter),
      events: this.#events,
      inherited: () => parts.inherited?.() ?? NOTHING_INHERITED,
      tcp: parts.transports?.tcp ?? new TcpTransport(time, options.tcp, secure, this.#codecs),
      http: parts.transports?.http ?? new HttpTransport(time, options.http, secure),
      grpc: parts.transports?.grpc ?? new GrpcTransport(time, options.grpc, secure),
      suspect: (id, outcome) => parts.suspect(id, outcome),
      // names may come from strangers: one that nobody knows is kept no longer than somebody calls it
      idle: (callee) => {
        if (callee.view.status !== 'known' && callee.view.instances.length === 0) this.#forget(callee);
      },
    };
  }

  /** Before the first call to it: connections that are open keep what they have. */
  useTcpCodec(service: string, codec: TcpCodec): void {
    this.#codecs.set(service, codec);
  }

  /** Sends a Nest message and resolves with the last value of the answer. Rejects with a RollcallError, whose code says why. */
  call(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const callee = this.#callee(service);
      const said = { pattern, data, options, codec: this.#codecs.get(service) };
      this.#start(callee, callee.tcp, tcpErrand(callee.tcp, said, CALL, new LastValue(resolve, reject)), options);
    });
  }

  /** Sends a Nest event to one instance; resolves when it is written. It is repeated only if it was certainly not sent. */
  emit(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<void> {
    return new Promise((resolve, reject) => {
      const callee = this.#callee(service);
      const said = { pattern, data, options, codec: this.#codecs.get(service) };
      const receiver = new LastValue(() => resolve(), reject);
      this.#start(callee, callee.tcp, tcpErrand(callee.tcp, said, EVENT, receiver), options);
    });
  }

  /**
   * Sends a Nest message and passes on each value. The deadline runs to the first value, then `idleMs` from value to value. The
   * observer hears nothing after `cancel`, but perhaps a refusal before this has returned. Throws for data that JSON cannot say.
   */
  // eslint-disable-next-line max-params -- the shape of a call, with one more who listens
  stream(
    service: string,
    pattern: unknown,
    data: unknown,
    observer: StreamObserver,
    options?: OneCall,
  ): { cancel(): void } {
    const callee = this.#callee(service);
    const told = { callee, upstream: callee.tcp, observer, options };
    const said = { pattern, data, options, codec: this.#codecs.get(service) };
    return this.#listen(told, (receiver) => tcpErrand(callee.tcp, said, STREAM, receiver));
  }

  /**
   * `fetch` on an instance of the service. Any status is an answer, as with `fetch`; 429, 502, 503 and 504 are given only when no other
   * attempt may be made. Redirects are answers, too: where they lead may be outside of the service. GET, HEAD, OPTIONS, PUT and
   * DELETE count as idempotent unless `options` says otherwise. `init.signal` ends the call; once there is an answer, cancel its body.
   */
  async fetch(service: string, path: string, init: RequestInit = {}, options: OneCall = NO_WISHES): Promise<Response> {
    const made = httpRequest(path, init);
    const request = made instanceof Promise ? await made : made;
    const loading = this.#around.http.prepare();
    if (loading !== null) await loading;
    const isMarked = options.signal === undefined && init.signal !== undefined && init.signal !== null;
    const wishes = isMarked ? { ...options, signal: init.signal ?? undefined } : options;
    const answer = await new Promise<unknown>((resolve, reject) => {
      this.request(service, request, new LastValue(resolve, reject), wishes);
    });
    if (answer instanceof HttpAnswer) return answer.response(this.#parts.options.http.bufferedBytes, init.signal);
    if (answer instanceof Response) return answer;
    throw new TypeError('The HTTP transport gave no answer.');
  }

  /**
   * The same for whoever wants the answer as it came, an `HttpAnswer`: the body, too, is then the receiver's. The transport has to be
   * ready (`prepare`).
   */
  // eslint-disable-next-line max-params -- the shape of a call, with one more who listens
  request(service: string, request: HttpRequest, receiver: CallObserver, options: OneCall): Call<HttpRequest> {
    const callee = this.#callee(service);
    const method = callee.http.method(routeOf(request));
    const callKind = isOnce(request) ? ONE_WAY_CALL : isIdempotent(request) ? SAFE_CALL : CALL;
    const callRequest = new CallRequest(request, method, callKind, receiver);
    // a body that nobody has begun to read may go elsewhere
    if (isOnce(request)) callRequest.isRepeatable = () => isRepeatable(request);
    return this.#start(callee, callee.http, callRequest, options);
  }

  /** Loads what HTTP calls need. */
  async prepare(): Promise<void> {
    await this.#around.http.prepare();
  }

  /**
   * Calls a gRPC method whose request and answer are one message each, described as generated clients do. Rejects with a RollcallError;
   * the cause of REMOTE is a GrpcStatusError. Throws what the serializer throws, and a TypeError for a method that streams and for
   * metadata that cannot be sent. A method is idempotent by the word of the caller, of this process, of the instances, else of its proto.
   */
  grpc<Input, Output>(
    service: string,
    method: GrpcMethod<Input, Output>,
    message: Input,
    options?: GrpcCall,
  ): Promise<Output> {
    if (method.requestStream || method.responseStream) throw new TypeError(streamText(method));
    const request = grpcRequest(method, message, options?.headers);
    return new Promise((resolve, reject) => {
      const callee = this.#callee(service);
      // what the method's own deserializer made
      const receiver = new LastValue((value) => resolve(value as Output), reject);
      this.#start(callee, callee.grpc, grpcErrand(callee.grpc, method, request, receiver), options);
    });
  }

  /**
   * The same for methods of any shape, and whoever observes: of an answer that is a stream each message is passed on, and the deadline
   * runs to the first, as with `stream`. `message`: for a request that is a stream, where they come from. It is subscribed to once there
   * is a connection; from then on the call is not repeated.
   */
  // eslint-disable-next-line max-params -- the shape of a call, with one more who listens
  grpcStream<Input>(
    service: string,
    method: GrpcMethod<Input>,
    message: Input | MessageSource<Input>,
    observer: StreamObserver,
    options?: GrpcCall,
  ): { cancel(): void } {
    const request = grpcRequest(method, message, options?.headers);
    const callee = this.#callee(service);
    return this.#listen({ callee, upstream: callee.grpc, observer, options }, (listener) =>
      grpcErrand(callee.grpc, method, request, method.responseStream ? listener : only(listener)),
    );
  }

  /** The same balancing for whoever has connections of its own: the channels of grpc-js. */
  grpcRoute(service: string): ExternalChannel {
    return new ExternalChannel({
      service,
      services: this.#around.services,
      callee: () => this.#callee(service),
      suspect: (id, outcome) => this.#around.suspect(id, outcome),
    });
  }

  /** What this process sees of a service and why it calls whom: for people. */
  explain(service: string): Explanation {
    return explain(this.#callee(service));
  }

  /** What this process saw of the services that it called; see `EdgeStats`. */
  edges(): readonly EdgeStats[] {
    return Array.from(this.#callees.values()).flatMap((callee) => callee.edge() ?? []);
  }

  /** Calls the listener soon after each event, until what is returned is called. What it throws is logged. */
  onEvent(listener: CallerListener): () => void {
    return this.#events.listen(listener);
  }

  /** Has this process taken the instance out of use, over some protocol? */
  isEjected(instance: InstanceId): boolean {
    for (const { upstreams } of this.#callees.values()) {
      if (upstreams.some((upstream) => (upstream.balancer.node(instance)?.breaker.cause ?? null) !== null)) return true;
    }
    return false;
  }

  /** Ends all calls with CLOSED and closes every connection. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#around.wheel.close();
    this.#around.hedgeWheel.close();
    this.#events.close();
    for (const callee of this.#callees.values()) callee.close();
    this.#callees.clear();
    await Promise.all([this.#around.tcp.close(), this.#around.http.close(), this.#around.grpc.close()]);
  }

  #listen<Request>(
    { callee, upstream, observer, options }: Listening<Request>,
    errandFor: (receiver: CallObserver) => CallRequest<Request>,
  ): { cancel(): void } {
    // null when the observer throws at a refusal that comes at once: there is nothing to cancel
    let begun: Call<Request> | null = null;
    const receiver = new Listener(observer, (error) => {
      this.#parts.log.error(`The observer of a stream of ${callee.service} threw: ${messageOf(error)}`);
      begun?.cancel(error);
    });
    const call = this.#start(callee, upstream, errandFor(receiver), options);
    begun = call;
    return {
      cancel() {
        receiver.close();
        call.cancel(undefined);
      },
    };
  }

  #callee(service: string): CalledService {
    const known = this.#callees.get(service);
    if (known !== undefined) return known;
    if (this.#callees.size >= MANY_SERVICES) this.#forgetGone();
    const callee = new CalledService(service, policyOf(this.#parts.options, service), this.#around);
    if (this.#isClosed) callee.close();
    else this.#callees.set(service, callee);
    return callee;
  }

  #start<Request>(
    callee: CalledService,
    upstream: Upstream<Request>,
    callRequest: CallRequest<Request>,
    wishes: OneCall = NO_WISHES,
  ): Call<Request> {
    const { signal, fallback } = wishes;
    const { tracer } = this.#parts;
    const inherited = callee.inherited();
    const terms = termsOf(callee, callRequest, wishes, inherited.isRetry);
    const startedAt = callee.now();
    const deadlineAt = Math.min(startedAt + terms.deadlineMs, inherited.deadlineAt);
    if (fallback !== undefined) this.#soften(callee, callRequest, fallback, deadlineAt);
    if (tracer !== undefined) follow(tracer, upstream.protocol, callRequest, callee.service);
    const call = new Call(callee, upstream, callRequest, terms);
    call.open(startedAt, deadlineAt);
    callee.inFlight += 1;
    if (this.#isClosed) call.refuse(closedError(callee.service));
    else if (callee.inFlight > callee.policy.maxConcurrent) {
      callee.events.shed('bulkhead', null);
      call.refuse(bulkheadError(callee.service, callee.policy.maxConcurrent));
    } else if (!(deadlineAt > startedAt)) call.refuse(deadlineError(call, 0));
    else if (signal !== undefined && !heed(signal, call)) call.cancel(signal.reason);
    else call.begin(startedAt);
    return call;
  }

  /** Puts somebody before the receiver who makes an answer out of the final error. */
  #soften<Request>(
    callee: CalledService,
    callRequest: CallRequest<Request>,
    fallback: NonNullable<OneCall['fallback']>,
    deadlineAt: number,
  ): void {
    const { log, time } = this.#parts;
    const parts = {
      fallback,
      receiver: callRequest.receiver,
      log,
      deadlineAt,
      isStream: callRequest.callKind.shape === 'stream',
      wheel: this.#around.wheel,
      now: () => time.now(),
      fellBack: () => callee.events.fellBack(),
    };
    callRequest.receiver = new Fallback(parts);
  }

  /** Services that are gone for good must not keep the places of new ones. */
  #forgetGone(): void {
    for (const callee of this.#callees.values()) {
      const { view, inFlight } = callee;
      if (inFlight === 0 && view.instances.length === 0 && view.status !== 'waiting') this.#forget(callee);
    }
  }

  #forget(callee: CalledService): void {
    callee.close();
    if (this.#callees.get(callee.service) === callee) this.#callees.delete(callee.service);
  }
}

/** What it takes to tell somebody of a call as it goes. */
interface Listening<Request> {
  readonly callee: CalledService;
  readonly upstream: Upstream<Request>;
  readonly observer: StreamObserver;
  readonly options: OneCall | undefined;
}

/** With more services than this, those that are gone for good are forgotten. */
const MANY_SERVICES = 1_024;

const NOTHING_INHERITED: Inherited = { deadlineAt: Infinity, isRetry: false };
