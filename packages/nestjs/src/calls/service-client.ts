import { ClientProxy } from '@nestjs/microservices';
import type { ReadPacket, WritePacket } from '@nestjs/microservices';
import { from, Observable } from 'rxjs';
import type { ContactStatus, GrpcCall, GrpcMethod, OneCall } from '@rollcall/client';
import { isRecord, RollcallError } from '@rollcall/core';
import type { RollcallApi } from '../inject.js';
import type { GrpcServices } from './grpc-proto.js';
import { grpcServiceOf } from './grpc-service.js';

declare const untyped: unique symbol;

/** The contract of a service without a declared one: any pattern, any data, any answer. */
export interface Untyped {
  readonly [untyped]: true;
}

/** The patterns of a contract: `type OrdersApi = { find: (query: { id: string }) => Order }`. */
export type PatternOf<Api extends object> = Exclude<keyof Api, symbol>;
export type InputOf<Handler> = Handler extends (input: infer Input) => unknown ? Input : never;
/**
 * The result of a handler for the caller: the values of a stream, what a promise resolves to, else the returned value.
 */
export type OutputOf<Handler> = Handler extends (input: never) => infer Output ? Settled<Output> : never;
/** The values of a stream, what a promise resolves to, else the type itself. */
export type Settled<Output> = Output extends Observable<infer Value> ? Value : Awaited<Output>;

/** The part of its application that a client needs. */
export interface ServiceClientHost {
  readonly rollcall: RollcallApi;
  /** Called before each call, since the first one may have to start the feed. */
  wake(): void;
  /** The gRPC services, if a proto is set. */
  readonly grpc?: GrpcServices | undefined;
}

/** The contract of a gRPC service without a declared one. */
export type UntypedGrpc = Readonly<Record<string, (message: any, ...wishes: any[]) => Observable<any>>>;

/**
 * A service by its name: a drop-in replacement for the `ClientProxy` that code injects today, with a balancer, breaker,
 * retries and a deadline. It owns no connection, so there is none to open or close. Its errors are `RollcallError`s.
 */
export class ServiceClient<Api extends object = Untyped> extends ClientProxy {
  /** Only a type, so that clients of different contracts are different types. */
  declare protected readonly contract: Api;
  #hook: ((packet: ReadPacket) => void) | null = null;

  constructor(
    private readonly host: ServiceClientHost,
    readonly service: string,
    private readonly defaults: OneCall = {},
  ) {
    super();
  }

  /**
   * Cold: each subscription is a call, and unsubscribing cancels it. The deadline applies to the first value, then
   * `idleMs` from value to value.
   */
  override send<Pattern extends PatternOf<Api>>(
    pattern: Pattern,
    data: InputOf<Api[Pattern]>,
  ): Observable<OutputOf<Api[Pattern]>>;
  override send<TResult = any, TInput = any>(this: ServiceClient, pattern: any, data: TInput): Observable<TResult>;
  override send(pattern: unknown, data: unknown): Observable<any> {
    return new Observable((observer) => this.publish(this.packetOf(pattern, data), this.createObserver(observer)));
  }

  /**
   * Hot: sent at once to one instance, and again only if it was certainly not sent. Completes when it has been written.
   */
  override emit<Pattern extends PatternOf<Api>>(pattern: Pattern, data: InputOf<Api[Pattern]>): Observable<undefined>;
  override emit<TResult = any, TInput = any>(this: ServiceClient, pattern: any, data: TInput): Observable<TResult>;
  override emit(pattern: unknown, data: unknown): Observable<any> {
    const sent = this.prepared(pattern, data, (packet) => this.dispatchEvent(packet));
    sent.catch(() => {}); // a caller that needs the result subscribes; an event that was not sent must not end the process
    return from(sent);
  }

  /** Resolves with the last value; rejects with a `RollcallError`. */
  call<Pattern extends PatternOf<Api>>(
    pattern: Pattern,
    data: InputOf<Api[Pattern]>,
    options?: OneCall,
  ): Promise<OutputOf<Api[Pattern]>>;
  call<Result = any>(this: ServiceClient, pattern: unknown, data: unknown, options?: OneCall): Promise<Result>;
  call(pattern: unknown, data: unknown, options?: OneCall): Promise<any> {
    return this.prepared(pattern, data, (packet) =>
      this.started().call(this.service, pattern, data, withMetadata(this.optionsWith(options), packet)),
    );
  }

  /**
   * `fetch` on an instance of the service; `path` begins with a slash. A redirect out of the service is returned as the
   * answer; otherwise as with `fetch`.
   */
  fetch(path: string, init?: RequestInit, options?: OneCall): Promise<Response> {
    return this.started().fetch(this.service, path, init, this.optionsWith(options));
  }

  /**
   * A gRPC service of the proto in `forFeature`, by its name or its full one (`shop.v1.Orders`), like
   * `ClientGrpc.getService` of Nest: its methods, under their proto names and in camel case, return cold Observables.
   * After the message each takes the `Metadata` of grpc-js, call options (`GrpcCall`) or both; a method that takes a
   * stream takes an Observable of messages, and is not retried once that was subscribed to. Throws OPTION_INVALID for a
   * service that the proto does not have, an ambiguous name, and if no proto is set.
   */
  grpc<Service extends object = UntypedGrpc>(name: string): Service;
  /** Calls a gRPC method as generated clients describe it: one message out, one back. */
  grpc<Input, Output>(method: GrpcMethod<Input, Output>, message: Input, options?: GrpcCall): Promise<Output>;
  grpc(target: string | GrpcMethod<any, any>, message?: any, options?: GrpcCall): any {
    if (typeof target === 'string') return this.grpcService(target);
    return this.started().grpc(this.service, target, message, this.optionsWith(options));
  }

  /**
   * Resolves when there is a copy of the service, with any instances; rejects with NO_CATALOG, retryable, if no
   * registry answers in time. To wait for a callable instance use `Rollcall.ready`.
   */
  async connect(): Promise<void> {
    await this.started().instances(this.service);
  }

  /** The connection to the registry, as it changes. Calls continue without it. */
  override get status(): Observable<ContactStatus> {
    const { rollcall } = this.host;
    return new Observable((observer) => {
      observer.next(rollcall.status);
      return rollcall.onStatus((status) => observer.next(status));
    });
  }

  /** A no-op: connections belong to the application and are closed with it. */
  close(): void {}

  /**
   * The hook is called with each packet of `send`, `emit` and `call`, before an instance is chosen, and once for all
   * attempts of a call. What it puts into `packet.metadata` travels with it over TCP, beside Rollcall's own metadata;
   * Nest 12 passes it to the handler as `TcpContext.getMetadata()`. It replaces an earlier hook. If it throws, the call
   * fails with that error.
   */
  override setOnDispatchHook(hook: (packet: ReadPacket) => void): void {
    this.#hook = hook;
  }

  /** Throws OPTION_INVALID, since there is no connection whose events it could report. */
  override on(event: string): never {
    throw new RollcallError(
      'OPTION_INVALID',
      `on('${event}') of the client of ${this.service} has nothing to listen to: its connections belong to the application, are many, and come ` +
        'and go. Use client.status for the connection to the registry, @OnInstanceChange() for instances that come and go, and ' +
        'Rollcall.onEvent() for what calls live through.',
    );
  }

  /** Returns the `Rollcall` behind the client, since it has no single connection to return. */
  override unwrap<T>(): T {
    const rollcall: unknown = this.host.rollcall;
    return rollcall as T; // what ClientProxy promises: the caller names the type
  }

  protected override publish(packet: ReadPacket, callback: (packet: WritePacket) => void): () => void {
    const observer = {
      next: (response: unknown) => callback({ response }),
      error: (err: unknown) => callback({ err }),
      complete: () => callback({ isDisposed: true }),
    };
    const options = withMetadata(this.defaults, packet);
    const call = this.started().stream(this.service, packet.pattern, packet.data, observer, options);
    return () => call.cancel();
  }

  protected override dispatchEvent(packet: ReadPacket): Promise<any> {
    return this.started().emit(this.service, packet.pattern, packet.data, withMetadata(this.defaults, packet));
  }

  private packetOf(pattern: unknown, data: unknown): ReadPacket {
    const packet: ReadPacket = { pattern, data };
    this.#hook?.(packet);
    return packet;
  }

  /** A hook that throws fails the call; it must not also cause an unhandled rejection. */
  private prepared<Result>(
    pattern: unknown,
    data: unknown,
    send: (packet: ReadPacket) => Promise<Result>,
  ): Promise<Result> {
    if (this.#hook === null) return send({ pattern, data });
    return new Promise((resolve) => resolve(send(this.packetOf(pattern, data))));
  }

  private grpcService(name: string): object {
    const { grpc } = this.host;
    if (grpc === undefined) throw noProto(this.service, name);
    return grpcServiceOf(grpc.methodsOf(name), (method, message, observer, options) =>
      this.started().grpcStream(this.service, method, message, observer, this.optionsWith(options)),
    );
  }

  private started(): RollcallApi {
    this.host.wake();
    return this.host.rollcall;
  }

  private optionsWith(options: OneCall | undefined): OneCall {
    return options === undefined ? this.defaults : { ...this.defaults, ...options };
  }
}

/** Nest 11 has no metadata of packets; a hook may still set it. */
function withMetadata(options: OneCall, packet: ReadPacket): OneCall {
  const metadata: unknown = Reflect.get(packet, 'metadata');
  if (!isRecord(metadata)) return options;
  return { ...options, packetMetadata: { ...options.packetMetadata, ...metadata } };
}

function noProto(service: string, name: string): RollcallError {
  return new RollcallError(
    'OPTION_INVALID',
    `grpc('${name}') of ${service} needs its proto. Write it where the service is named: ` +
      `RollcallModule.forFeature([{ service: '${service}', grpc: { package: '…', protoPath: '….proto' } }]).`,
  );
}
