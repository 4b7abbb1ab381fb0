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
    service[name] = (message: unknown, ...wishes: readonly unknown[]): Observable<unknown> =>
      new Observable((observer) => {
        const call = start(method, message, observer, wishesOf(wishes));
        return () => call.cancel();
      });
  }
  return service;
}

/** The used part of the `Metadata` of grpc-js. */
interface MetadataLike {
  toHttp2Headers(): Readonly<Record<string, unknown>>;
}

function isMetadata(said: object): said is MetadataLike {
  return 'toHttp2Headers' in said && typeof said.toHttp2Headers === 'function';
}

/** The options that a call accepts, and no others. */
const KNOWN: Readonly<Record<keyof GrpcCall, true>> = { headers: true, ...CALL_OPTION_NAMES };

/**
 * Parses the arguments after the message. Throws OPTION_INVALID for an unknown option, such as the `deadline` of
 * grpc-js.
 */
function wishesOf(said: readonly unknown[]): GrpcCall {
  let wishes: GrpcCall = {};
  for (const one of said) {
    if (one === undefined || one === null) continue;
    if (typeof one !== 'object') throw strange(typeof one === 'string' ? one : typeof one);
    if (isMetadata(one)) wishes = { ...wishes, headers: { ...wishes.headers, ...headersOf(one) } };
    else wishes = withOptions(wishes, one);
  }
  return wishes;
}

function withOptions(wishes: GrpcCall, options: GrpcCall): GrpcCall {
  const odd = Object.keys(options).find((key) => !Object.hasOwn(KNOWN, key));
  if (odd !== undefined) throw strange(odd);
  return { ...wishes, ...options, headers: { ...wishes.headers, ...options.headers } };
}

function strange(word: string): RollcallError {
  const near = word === 'deadline' ? 'deadlineMs' : nearest(word, Object.keys(KNOWN));
  const advice = near === null ? `It knows ${Object.keys(KNOWN).join(', ')}.` : `Did you mean ${near}?`;
  return new RollcallError(
    'OPTION_INVALID',
    `After its message a gRPC method takes the Metadata of grpc-js and options of the call; ${word} is no such option. ${advice}`,
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
