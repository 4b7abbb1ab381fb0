import { HttpException } from '@nestjs/common';
import { RpcException } from '@nestjs/microservices';
import { GrpcMetadata, GrpcStatusError } from '@rollcall/client';
import { grpcMethodName, HttpAnswer } from '@rollcall/client/testing';
import type { Failure, GrpcRequest, HttpRequest, TcpRequest, Terms } from '@rollcall/client/testing';
import { ERROR_KEY, messageOf, methodNameOf } from '@rollcall/core';
import type { InstanceId } from '@rollcall/core';
import { isObservable, lastValueFrom } from 'rxjs';
import type { Served } from './transport.js';

/**
 * The handlers of a fake service, by name: a Nest pattern (`find`; an object pattern as JSON with sorted keys), a route
 * (`GET /orders/:id`), or a gRPC method (`Orders/Find`). A handler receives the request and returns the answer, or a
 * promise or an Observable of it; what it throws is handled as if a Nest handler threw it. A route receives a
 * `FakeHttpRequest` and returns a Response, or a value that becomes JSON; a gRPC method receives the message, or the
 * Observable of messages, that the caller passed in.
 */
// eslint-disable-next-line typescript/no-explicit-any -- a handler declares itself what it takes
export type FakeHandlers = object | Readonly<Record<string, (input: any, call: FakeCall) => unknown>>;

/** One request, as a fake instance received it. */
export interface FakeCall {
  readonly service: string;
  readonly instance: InstanceId;
  /** Pattern, `GET /orders/7`, or `Service/Method`. */
  readonly name: string;
  /** The argument of the handler. */
  readonly input: unknown;
  /** The number of the attempt, from 1. */
  readonly attempt: number;
  /** The rest of the caller's deadline, in ms. */
  readonly remainingMs: number;
}

export interface FakeHttpRequest {
  readonly method: string;
  readonly path: string;
  /** The value of each parameter, such as `:id`, in the route. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  /** Parsed JSON; else text, or the value that was passed to `fetch`. */
  readonly body: unknown;
}

/** The handlers of an instance, and the recorder of its requests. */
export interface FakeTarget {
  readonly service: string;
  readonly instance: InstanceId;
  /** The first table with a handler of the name answers. */
  readonly layers: readonly FakeHandlers[];
  readonly terms: Terms;
  note(call: FakeCall): void;
}

/** A handler with its name. */
interface Found {
  readonly handler: Function;
  readonly layer: FakeHandlers;
}

// ---- over TCP -------------------------------------------------------------------------------------------------------

export function serveTcp(target: FakeTarget, { patternJson, dataJson, isEvent }: TcpRequest): Served {
  const name = methodNameOf(JSON.parse(patternJson));
  const input: unknown = dataJson === undefined ? undefined : JSON.parse(dataJson);
  return {
    isEvent,
    answer: () => {
      const found = find(target.layers, name);
      if (found === null && isEvent) return undefined;
      // Nest's message, and the existing patterns
      if (found === null)
        throw new RpcException(`There is no matching message handler defined in the remote service. ${fix(target)}`);
      return run(found, target, { name, input });
    },
    valueOf: overTheWire,
    refusalOf: () => null,
    failureOf: (error) => ({ kind: 'remote', cause: nestError(error) }),
  };
}

/** Copies a value for the caller, without what JSON cannot represent. */
function overTheWire(value: unknown): unknown {
  const json: string | undefined = JSON.stringify(value);
  return json === undefined ? undefined : JSON.parse(json);
}

/** The answer of Nest's own filter for microservices: it hides every error that is not an RpcException. */
function nestError(error: unknown): unknown {
  if (!(error instanceof RpcException)) return { status: 'error', message: 'Internal server error' };
  const content = error.getError();
  return typeof content === 'object' ? overTheWire(content) : { status: 'error', message: content };
}

// ---- over HTTP ------------------------------------------------------------------------------------------------------

/** The kind of failure by HTTP status, as the HTTP transport reads it. */
const REFUSALS: Readonly<Record<number, Failure['kind']>> = {
  429: 'overloaded',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
};
const BODILESS: ReadonlySet<number> = new Set([204, 205, 304]);
const NO_SOURCE = { resume: () => {}, abort: () => {} };

export function serveHttp(target: FakeTarget, request: HttpRequest): Served {
  const isHead = request.method === 'HEAD';
  const url = new URL(request.path, `http://${target.service}`);
  return {
    isEvent: false,
    answer: () => {
      const route = routeOf(target.layers, request.method, url.pathname);
      if (route === null)
        return jsonAnswer(
          404,
          { statusCode: 404, message: `Cannot ${request.method} ${url.pathname}. ${fix(target)}` },
          isHead,
        );
      const input = httpInput(request, url, route.params);
      return one(run(route.found, target, { name: `${request.method} ${url.pathname}`, input }));
    },
    valueOf: async (value) => {
      if (value instanceof HttpAnswer) return value;
      if (value instanceof Response) return copied(value, isHead);
      const status = request.method === 'POST' ? 201 : 200;
      return typeof value === 'string'
        ? answerOf(status, [['content-type', 'text/html; charset=utf-8']], value, isHead)
        : jsonAnswer(status, value, isHead);
    },
    refusalOf: (value) => (value instanceof HttpAnswer ? refusalOf(value) : null),
    failureOf: (error) => {
      const status = error instanceof HttpException ? error.getStatus() : 500;
      const content = error instanceof HttpException ? error.getResponse() : 'Internal server error';
      const body = typeof content === 'string' ? { statusCode: status, message: content } : content;
      const answer = jsonAnswer(status, body, isHead);
      return refusalOf(answer) ?? { kind: 'remote', cause: error, fallback: { value: answer, drop: () => {} } };
    },
  };
}

function refusalOf(answer: HttpAnswer): Failure | null {
  const { status, headers } = answer.head;
  const kind = REFUSALS[status];
  const isDownstream = headers.some((name, index) => index % 2 === 0 && name.toString('latin1') === ERROR_KEY);
  if (kind === undefined || isDownstream) return null;
  return { kind, cause: new Error(`HTTP status ${status}`), fallback: { value: answer, drop: () => answer.drop() } };
}

async function copied(response: Response, isHead: boolean): Promise<HttpAnswer> {
  const body = new Uint8Array(await response.arrayBuffer());
  return answerOf(response.status, [...response.headers], body, isHead);
}

function jsonAnswer(status: number, value: unknown, isHead: boolean): HttpAnswer {
  return answerOf(status, [['content-type', 'application/json; charset=utf-8']], JSON.stringify(value) ?? '', isHead);
}

// eslint-disable-next-line max-params -- what an answer is made of
function answerOf(
  status: number,
  headers: readonly (readonly [string, string])[],
  body: string | Uint8Array,
  isHead: boolean,
): HttpAnswer {
  const hasBody = !isHead && !BODILESS.has(status);
  const raw = headers.flatMap(([name, value]) => [Buffer.from(name, 'latin1'), Buffer.from(value, 'latin1')]);
  const answer = new HttpAnswer({ status, statusText: '', headers: raw, hasBody }, NO_SOURCE);
  const bytes = Buffer.from(body);
  if (hasBody && bytes.length > 0) answer.push(bytes);
  answer.end([]);
  return answer;
}

function httpInput(request: HttpRequest, url: URL, params: Readonly<Record<string, string>>): FakeHttpRequest {
  const headers = new Headers();
  for (let i = 0; i + 1 < request.headers.length; i += 2)
    headers.append(request.headers[i] ?? '', request.headers[i + 1] ?? '');
  const { method, body } = request;
  return { method, path: url.pathname, params, query: url.searchParams, headers, body: readBody(body, headers) };
}

function readBody(body: HttpRequest['body'], headers: Headers): unknown {
  const isText = typeof body === 'string' || body instanceof Uint8Array;
  if (!isText) return body;
  const text = Buffer.from(body).toString('utf8');
  if (headers.get('content-type')?.includes('json') !== true) return typeof body === 'string' ? text : body;
  return JSON.parse(text);
}

interface Route {
  readonly found: Found;
  readonly params: Readonly<Record<string, string>>;
}

function routeOf(layers: readonly FakeHandlers[], method: string, path: string): Route | null {
  for (const name of namesOf(layers)) {
    const [verb = '', template = ''] = name.split(' ');
    const params = verb === method || (verb === 'GET' && method === 'HEAD') ? paramsOf(template, path) : null;
    const found = params === null ? null : find(layers, name);
    if (found !== null && params !== null) return { found, params };
  }
  return null;
}

/** The parameters in the path; null if the route does not match. */
function paramsOf(template: string, path: string): Readonly<Record<string, string>> | null {
  const [wanted, given] = [template.split('/'), path.split('/')];
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [i, wantedPart] of wanted.entries()) {
    const part = given[i] ?? '';
    if (wantedPart.startsWith(':') && part !== '') params[wantedPart.slice(1)] = decodeURIComponent(part);
    else if (wantedPart !== part) return null;
  }
  return params;
}

// ---- over gRPC ------------------------------------------------------------------------------------------------------

const UNIMPLEMENTED = 12;
const UNKNOWN = 2;

export function serveGrpc(target: FakeTarget, request: GrpcRequest): Served {
  const name = grpcMethodName(request.path);
  return {
    isEvent: false,
    answer: () => {
      const found = find(target.layers, name);
      if (found === null)
        throw new RpcException({
          code: UNIMPLEMENTED,
          message: `The server does not implement ${name}. ${fix(target)}`,
        });
      const answer = run(found, target, { name, input: request.message });
      return request.isStream ? answer : one(answer);
    },
    valueOf: (value) => value,
    refusalOf: () => null,
    failureOf: (error) => ({ kind: 'remote', cause: statusOf(error) }),
  };
}

function statusOf(error: unknown): GrpcStatusError {
  const content: unknown = error instanceof RpcException ? error.getError() : error;
  const isObject = typeof content === 'object' && content !== null;
  const code = isObject && 'code' in content && typeof content.code === 'number' ? content.code : UNKNOWN;
  const details = isObject && 'message' in content ? String(content.message) : messageOf(error);
  const metadata = new GrpcMetadata();
  if (isObject && 'metadata' in content && isMetadata(content.metadata)) metadata.merge(content.metadata);
  return new GrpcStatusError(code, details, metadata);
}

/** True for a `Metadata` of grpc-js, or ours. */
function isMetadata(value: unknown): value is Pick<GrpcMetadata, 'toJSON'> {
  return typeof value === 'object' && value !== null && 'internalRepr' in value && value.internalRepr instanceof Map;
}

// ---- handlers -------------------------------------------------------------------------------------------------------

function find(layers: readonly FakeHandlers[], name: string): Found | null {
  if (name in Object.prototype) return null;
  for (const layer of layers) {
    const handler: unknown = Reflect.get(layer, name);
    if (typeof handler === 'function') return { handler, layer };
  }
  return null;
}

function run(
  { handler, layer }: Found,
  target: FakeTarget,
  { name, input }: { readonly name: string; readonly input: unknown },
): unknown {
  const { service, instance, terms } = target;
  const call: FakeCall = { service, instance, name, input, attempt: terms.attempt, remainingMs: terms.remainingMs };
  target.note(call);
  return Reflect.apply(handler, layer, [input, call]);
}

/** Returns a single answer: the last value of an Observable. */
function one(answer: unknown): unknown {
  return isObservable(answer) ? lastValueFrom(answer, { defaultValue: undefined }) : answer;
}

/** The handlers of an object, also those of its class. */
function namesOf(layers: readonly FakeHandlers[]): readonly string[] {
  return layers.flatMap((layer) => {
    const prototype: unknown = Object.getPrototypeOf(layer);
    const inherited = prototype === Object.prototype || prototype === null ? [] : Object.getOwnPropertyNames(prototype);
    return [...Object.keys(layer), ...inherited].filter((name) => name !== 'constructor');
  });
}

function fix({ service, layers }: FakeTarget): string {
  const names = namesOf(layers);
  return `The fake service "${service}" has ${names.length === 0 ? 'no handlers' : names.join(', ')}: add it to fakeServices, or with overrideService.`;
}
