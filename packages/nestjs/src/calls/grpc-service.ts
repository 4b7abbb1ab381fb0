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
 * An object with the methods of a gRPC service, as `getService` of Nest's `ClientGrpc` makes it: each takes a message (of a method that
 * takes a stream an Observable of them), metadata or options of the call or both, and returns an Observable. It is cold: each subscription
 * is a call, and ending the subscription cancels it.
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

/** What `Metadata` of grpc-js has. */
interface MetadataLike {
  toHttp2Headers(): Readonly<Record<string, unknown>>;
}

function isMetadata(said: object): said is MetadataLike {
  return 'toHttp2Headers' in said && typeof said.toHttp2Headers === 'function';
}

/** A call takes these, and no other word. */
const KNOWN: Readonly<Record<keyof GrpcCall, true>> = { headers: true, ...CALL_OPTION_NAMES };

/** What follows the message. Throws OPTION_INVALID for what a call does not take, such as the `deadline` of grpc-js. */
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

/** Several values of one name go in one, with commas between them; what is binary is in base64 already. */
function headersOf(metadata: MetadataLike): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata.toHttp2Headers()).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(',') : String(value),
    ]),
  );
}
