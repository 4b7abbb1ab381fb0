import type { InstanceId, Log, Meter, Random, Suspicion, Time } from '@rollcall/core';
import { messageOf } from '@rollcall/core';
import { UNKNOWN_LOCALITY } from '../balance/caller-locality.js';
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
import { TlsConnector } from '../transport/tls.js';
import type { CallTracer } from '../transport/tracing.js';
import type { Transport } from '../transport/transport.js';
import { Call } from './call.js';
import { explain } from './explain.js';
import type { Explanation } from './explain.js';
import { Fallback } from './fallback.js';
import { grpcCallRequest, streamText } from './grpc-call.js';
import type { GrpcCall } from './grpc-call.js';
import { follow, LastValue, Listener, only } from './observers.js';
import type { StreamObserver } from './observers.js';
import { CALL, EVENT, ONE_WAY_CALL, SAFE_CALL, STREAM } from './policy/call-kind.js';
import type { Inherited, OneCall } from './policy/call-options.js';
import { HEDGE_TICK_MS } from './policy/hedge.js';
import { policyOf } from './policy/service-options.js';
import type { CallOptions } from './policy/service-options.js';
import { TimerWheel } from './policy/timer-wheel.js';
import { NO_OPTIONS, termsOf } from './resolved-options.js';
import { bulkheadError, closedError, deadlineError } from './service/call-error.js';
import { CallRequest } from './service/call-request.js';
import type { CallObserver } from './service/call-request.js';
import { CalledService } from './service/called-service.js';
import type { SharedParts } from './service/called-service.js';
import type { Upstream } from './service/upstream.js';
import { cancelOnAbort } from './signal.js';
import { tcpCallRequest } from './tcp-call.js';

export type { StreamObserver } from './observers.js';
export type { Inherited, OneCall } from './policy/call-options.js';

/** The transports to instances, one for each protocol. */
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
  /** The zone and the heartbeat interval of the caller; default: no zone, and 5 s between two heartbeats. */
  readonly locality?: CallerLocality;
  /** The transports; default: TCP, HTTP and gRPC as in `options`. A test or a simulation passes its own. `close` also closes them. */
  readonly transports?: CallTransports;
  /** Returns the deadline context of the request being handled; called once per call. Default: no request, nothing inherited. */
  readonly inherited?: () => Inherited | null;
  /** The tracer; default: calls are not traced. */
  readonly tracer?: CallTracer;
  /** Reports a failed instance so that the registry probes it. Called for each failure. */
  suspect(instance: InstanceId, outcome: Suspicion['outcome']): void;
}

/**
 * Calls to services, balanced over their instances: deadline > fallback > bulkhead > attempts (retries and a hedge, within the budget) >
 * pick within the gates > attempt timeout > transport. Each of them uses the same outcome. Every promise settles by its deadline.
 */
export class Calls {
  readonly #parts: CallsParts;
  readonly #around: SharedParts;
  readonly #events: CallerEvents;
  readonly #callees = new Map<string, CalledService>();
  readonly #codecs = new Map<string, TcpCodec>();
  #isClosed = false;

  constructor(parts: CallsParts) {
    const { time, random, log, services, options } = parts;
    this.#parts = parts;
    this.#events = new CallerEvents(time, log);
    const secure = new TlsConnector(options.tls, log);
    this.#around = {
      time,
      random,
      log,
      services,
      locality: parts.locality ?? UNKNOWN_LOCALITY,
      wheel: new TimerWheel(time),
      hedgeWheel: new TimerWheel(time, HEDGE_TICK_MS),
      instruments: callInstruments(parts.meter),
      events: this.#events,
      inherited: () => parts.inherited?.() ?? NOTHING_INHERITED,
      tcp: parts.transports?.tcp ?? new TcpTransport(time, options.tcp, secure, this.#codecs),
      http: parts.transports?.http ?? new HttpTransport(time, options.http, secure),
      grpc: parts.transports?.grpc ?? new GrpcTransport(time, options.grpc, secure),
      suspect: (id, outcome) => parts.suspect(id, outcome),
      // names may come from untrusted input: an unknown one is kept only while calls to it are under way
      idle: (callee) => {
        if (callee.view.status !== 'known' && callee.view.instances.length === 0) this.#forget(callee);
      },
    };
  }

  /** Sets the codec of a service. Call it before the first call: open connections keep their codec. */
  useTcpCodec(service: string, codec: TcpCodec): void {
    this.#codecs.set(service, codec);
  }

  /** Sends a Nest message and resolves with the last value of the response. Rejects with a RollcallError, whose code is the reason. */
  call(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const callee = this.#callee(service);
      const request = { pattern, data, options, codec: this.#codecs.get(service) };
      this.#start(
        callee,
        callee.tcp,
        tcpCallRequest(callee.tcp, request, CALL, new LastValue(resolve, reject)),
        options,
      );
    });
  }

  /** Sends a Nest event to one instance; resolves when it is written. It is repeated only if it was certainly not sent. */
  emit(service: string, pattern: unknown, data: unknown, options?: OneCall): Promise<void> {
    return new Promise((resolve, reject) => {
      const callee = this.#callee(service);
      const request = { pattern, data, options, codec: this.#codecs.get(service) };
      const receiver = new LastValue(() => resolve(), reject);
      this.#start(callee, callee.tcp, tcpCallRequest(callee.tcp, request, EVENT, receiver), options);
    });
  }

  /**
   * Sends a Nest message and delivers each value. The deadline covers the first value, `idleMs` the time between later ones. The observer
   * gets nothing after `cancel`, but may get a refusal before this returns. Throws for data that JSON cannot represent.
   */
  // eslint-disable-next-line max-params -- the parameters of a call, plus its observer
  stream(
    service: string,
    pattern: unknown,
    data: unknown,
    observer: StreamObserver,
    options?: OneCall,
  ): { cancel(): void } {
    const callee = this.#callee(service);
    const parts = { callee, upstream: callee.tcp, observer, options };
    const request = { pattern, data, options, codec: this.#codecs.get(service) };
    return this.#listen(parts, (receiver) => tcpCallRequest(callee.tcp, request, STREAM, receiver));
  }

  /**
   * `fetch` on an instance of the service. Any status is a response, as with `fetch`; 429, 502, 503 and 504 are returned
   * only when no other attempt may be made. Redirects are returned, not followed: they may lead outside of the service.
   * GET, HEAD, OPTIONS, PUT and DELETE count as idempotent unless `options` says otherwise. `init.signal` ends the call;
   * once there is a response, cancel its body.
   */
  async fetch(service: string, path: string, init: RequestInit = {}, options: OneCall = NO_OPTIONS): Promise<Response> {
    const made = httpRequest(path, init);
    const request = made instanceof Promise ? await made : made;
    const loading = this.#around.http.prepare();
    if (loading !== null) await loading;
    const isMarked = options.signal === undefined && init.signal !== undefined && init.signal !== null;
    const callOptions = isMarked ? { ...options, signal: init.signal ?? undefined } : options;
    const answer = await new Promise<unknown>((resolve, reject) => {
      this.request(service, request, new LastValue(resolve, reject), callOptions);
    });
    if (answer instanceof HttpAnswer) return answer.response(this.#parts.options.http.bufferedBytes, init.signal);
    if (answer instanceof Response) return answer;
    throw new TypeError('The HTTP transport gave no answer.');
  }

  /**
   * Like `fetch`, but passes the raw response, an `HttpAnswer`; the receiver then owns its body. The transport has to be
   * ready (`prepare`).
   */
  // eslint-disable-next-line max-params -- the parameters of a call, plus its observer
  request(service: string, request: HttpRequest, receiver: CallObserver, options: OneCall): Call<HttpRequest> {
    const callee = this.#callee(service);
    const method = callee.http.method(routeOf(request));
    const callKind = isOnce(request) ? ONE_WAY_CALL : isIdempotent(request) ? SAFE_CALL : CALL;
    const callRequest = new CallRequest(request, method, callKind, receiver);
    // a body that has not been read yet may be sent to another instance
    if (isOnce(request)) callRequest.isRepeatable = () => isRepeatable(request);
    return this.#start(callee, callee.http, callRequest, options);
  }

  /** Loads the modules that HTTP calls need. */
  async prepare(): Promise<void> {
    await this.#around.http.prepare();
  }

  /**
   * Calls a unary gRPC method, described as generated clients do. Rejects with a RollcallError; the cause of REMOTE is a GrpcStatusError.
   * Throws the errors of the serializer, and a TypeError for a streaming method or for metadata that cannot be sent. The first of these
   * that declares idempotency decides: the call, this process, the instances, the proto.
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
      // the return value of the deserializer of the method
      const receiver = new LastValue((value) => resolve(value as Output), reject);
      this.#start(callee, callee.grpc, grpcCallRequest(callee.grpc, method, request, receiver), options);
    });
  }

  /**
   * Like `grpc`, but for methods of any shape and with an observer: it delivers each message of a streamed response, and the deadline
   * covers the first, as with `stream`. `message`: for a streamed request, the source of its messages. The call subscribes to the source
   * once there is a connection; from then on the call is not repeated.
   */
  // eslint-disable-next-line max-params -- the parameters of a call, plus its observer
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
      grpcCallRequest(callee.grpc, method, request, method.responseStream ? listener : only(listener)),
    );
  }

  /** Creates the balancing for clients with connections of their own: the channels of grpc-js. */
  grpcRoute(service: string): ExternalChannel {
    return new ExternalChannel({
      service,
      services: this.#around.services,
      callee: () => this.#callee(service),
      suspect: (id, outcome) => this.#around.suspect(id, outcome),
    });
  }

  /** Explains how this process sees a service and chooses its instances, for display. */
  explain(service: string): Explanation {
    return explain(this.#callee(service));
  }

  /** Statistics of the services that this process called; see `EdgeStats`. */
  edges(): readonly EdgeStats[] {
    return Array.from(this.#callees.values()).flatMap((callee) => callee.edge() ?? []);
  }

  /** Calls the listener shortly after each event; returns the function that removes it. Errors that it throws are logged. */
  onEvent(listener: CallerListener): () => void {
    return this.#events.listen(listener);
  }

  /** True if this process has ejected the instance on any protocol. */
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
    requestFor: (receiver: CallObserver) => CallRequest<Request>,
  ): { cancel(): void } {
    // null if the observer throws on an immediate refusal: no call remains to be cancelled
    let begun: Call<Request> | null = null;
    const receiver = new Listener(observer, (error) => {
      this.#parts.log.error(`The observer of a stream of ${callee.service} threw: ${messageOf(error)}`);
      begun?.cancel(error);
    });
    const call = this.#start(callee, upstream, requestFor(receiver), options);
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
    callOptions: OneCall = NO_OPTIONS,
  ): Call<Request> {
    const { signal, fallback } = callOptions;
    const { tracer } = this.#parts;
    const inherited = callee.inherited();
    const terms = termsOf(callee, callRequest, callOptions, inherited.isRetry);
    const startedAt = callee.now();
    const deadlineAt = Math.min(startedAt + terms.deadlineMs, inherited.deadlineAt);
    if (fallback !== undefined) this.#addFallback(callee, callRequest, fallback, deadlineAt);
    if (tracer !== undefined) follow(tracer, upstream.protocol, callRequest, callee.service);
    const call = new Call(callee, upstream, callRequest, terms);
    call.open(startedAt, deadlineAt);
    callee.inFlight += 1;
    if (this.#isClosed) call.refuse(closedError(callee.service));
    else if (callee.inFlight > callee.policy.maxConcurrent) {
      callee.events.shed('bulkhead', null);
      call.refuse(bulkheadError(callee.service, callee.policy.maxConcurrent));
    } else if (!(deadlineAt > startedAt)) call.refuse(deadlineError(call, 0));
    else if (signal !== undefined && !cancelOnAbort(signal, call)) call.cancel(signal.reason);
    else call.begin(startedAt);
    return call;
  }

  /** Wraps the observer with the fallback, which replaces the final error with a response. */
  #addFallback<Request>(
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

  /** Forgets removed services without calls, to free their memory for new ones. */
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

/** The parameters of a call with an observer. */
interface Listening<Request> {
  readonly callee: CalledService;
  readonly upstream: Upstream<Request>;
  readonly observer: StreamObserver;
  readonly options: OneCall | undefined;
}

/** Beyond this number of services, removed services without calls are forgotten. */
const MANY_SERVICES = 1_024;

const NOTHING_INHERITED: Inherited = { deadlineAt: Infinity, isRetry: false };
