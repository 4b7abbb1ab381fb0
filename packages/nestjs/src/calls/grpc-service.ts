import { CALL_OPTION_NAMES } from '@rollcall/client';
import type { GrpcCall, GrpcMethod } from '@rollcall/client';
import { nearest, RollcallError } from '@rollcall/core';
import { Observable } from 'rxjs';
import type { Observer } from 'rxjs';

/** Makes one call of a method. */
export type StartGrpc = (
  method: GrpcMethod,
  message: unknown,
  observer: Observer<unknown>,
  options: GrpcCall,
) => { cancel(): void };

/**
 * Creates an object with the methods of a gRPC service, like `getService` of Nest's `ClientGrpc`: each takes a message
 * (or an Observable of messages, if the method takes a stream), and metadata, call options or both, and returns a cold
 * Observable: each subscription is a call, and unsubscribing cancels it.
 */
export function grpcServiceOf(methods: ReadonlyMap<string, GrpcMethod>, start: StartGrpc): object {
  const service: Record<string, unknown> = {};
  for (const [name, method] of methods) {
    service[name] = (message: unknown, ...callOptions: readonly unknown[]): Observable<unknown> =>
      new Observable((observer) => {
        const call = start(method, message, observer, parseOptions(callOptions));
        return () => call.cancel();
      });
  }
  return service;
}

/** The used part of the `Metadata` of grpc-js. */
interface MetadataLike {
  toHttp2Headers(): Readonly<Record<string, unknown>>;
}

function isMetadata(value: object): value is MetadataLike {
  return 'toHttp2Headers' in value && typeof value.toHttp2Headers === 'function';
}

/** The options that a call accepts, and no others. */
const KNOWN: Readonly<Record<keyof GrpcCall, true>> = { headers: true, ...CALL_OPTION_NAMES };

/**
 * Parses the arguments after the message. Throws OPTION_INVALID for an unknown option, such as the `deadline` of
 * grpc-js.
 */
function parseOptions(value: readonly unknown[]): GrpcCall {
  let callOptions: GrpcCall = {};
  for (const one of value) {
    if (one === undefined || one === null) continue;
    if (typeof one !== 'object') throw unknownOptionError(typeof one === 'string' ? one : typeof one);
    if (isMetadata(one)) callOptions = { ...callOptions, headers: { ...callOptions.headers, ...headersOf(one) } };
    else callOptions = withOptions(callOptions, one);
  }
  return callOptions;
}

function withOptions(callOptions: GrpcCall, options: GrpcCall): GrpcCall {
  const unknown = Object.keys(options).find((key) => !Object.hasOwn(KNOWN, key));
  if (unknown !== undefined) throw unknownOptionError(unknown);
  return { ...callOptions, ...options, headers: { ...callOptions.headers, ...options.headers } };
}

function unknownOptionError(name: string): RollcallError {
  const near = name === 'deadline' ? 'deadlineMs' : nearest(name, Object.keys(KNOWN));
  const advice = near === null ? `It knows ${Object.keys(KNOWN).join(', ')}.` : `Did you mean ${near}?`;
  return new RollcallError(
    'OPTION_INVALID',
    `After its message a gRPC method takes the Metadata of grpc-js and options of the call; ${name} is no such option. ${advice}`,
  );
}

/** Joins several values of one name with commas; binary values are in base64 already. */
function headersOf(metadata: MetadataLike): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata.toHttp2Headers()).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(',') : String(value),
    ]),
  );
}
