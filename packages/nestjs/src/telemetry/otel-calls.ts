import { isIP } from 'node:net';
import {
  context,
  createContextKey,
  isSpanContextValid,
  propagation,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';
import type { AttemptTrace, CallTrace, CallTracer, Carrier, TracedAttempt, TracedCall } from '@rollcall/client';
import { isRecord, messageOf } from '@rollcall/core';
import type { RollcallError } from '@rollcall/core';

/**
 * The key by which OpenTelemetry's instrumentations are suppressed (`suppressTracing` of @opentelemetry/core): the
 * attempt has its span, so undici or HTTP/2 beneath it need not create another. Keys are equal by name, whichever package
 * creates them.
 */
const SUPPRESSED = createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING');

const PLAIN = /^[\x20-\x7e]+$/;

/** The span data of a call, by its protocol. */
interface Subject {
  /** For the span of the call. */
  readonly title: string;
  /** For the spans of its attempts. */
  readonly attemptTitle: string;
  /**
   * CLIENT for a remote call, regardless of its attempts; over HTTP INTERNAL, since each attempt is a request of its
   * own.
   */
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  readonly attemptAttributes: Attributes;
  readonly isHttp: boolean;
}

/**
 * Creates a span for each call, with one for each attempt under it. Names and attributes follow the semantic
 * conventions where they exist.
 */
export class OtelCalls implements CallTracer {
  readonly #tracer: Tracer;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  begin(call: TracedCall): CallTrace | null {
    const subject = subjectOf(call);
    const parent = context.active();
    const { title, kind, attributes } = subject;
    const span = this.#tracer.startSpan(title, { kind, attributes }, parent);
    // without an SDK, or with tracing suppressed, there is nothing to record or to propagate
    if (!isSpanContextValid(span.spanContext())) return null;
    return new OtelCall(this.#tracer, subject, span, trace.setSpan(parent, span));
  }
}

class OtelCall implements CallTrace {
  readonly #tracer: Tracer;
  readonly #subject: Subject;
  readonly #span: Span;
  readonly #context: Context;
  /** The attempts in flight: a hedged call has two. */
  readonly #open = new Set<OtelAttempt>();
  #count = 0;

  // eslint-disable-next-line max-params -- what it is made of
  constructor(tracer: Tracer, subject: Subject, span: Span, own: Context) {
    this.#tracer = tracer;
    this.#subject = subject;
    this.#span = span;
    this.#context = own;
  }

  attempt(traced: TracedAttempt): AttemptTrace {
    const { attemptTitle, attemptAttributes, isHttp } = this.#subject;
    this.#count += 1;
    const attributes = { ...attemptAttributes, ...attributesOf(traced, isHttp) };
    const span = this.#tracer.startSpan(attemptTitle, { kind: SpanKind.CLIENT, attributes }, this.#context);
    const attempt = new OtelAttempt(span, trace.setSpan(this.#context, span), () => this.#open.delete(attempt));
    this.#open.add(attempt);
    return attempt;
  }

  ended(error: RollcallError | null): void {
    for (const attempt of this.#open) attempt.ended('cancelled', null);
    if (this.#count > 1) this.#span.setAttribute('rollcall.attempts', this.#count);
    if (error !== null) {
      this.#span.setAttribute('error.type', error.code);
      // a cancelled call has not failed
      if (error.code !== 'CANCELLED') this.#span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    }
    this.#span.end();
  }
}

class OtelAttempt implements AttemptTrace {
  readonly carrier: Carrier;
  readonly #span: Span;
  readonly #context: Context;
  readonly #over: () => void;
  #isOver = false;

  constructor(span: Span, own: Context, over: () => void) {
    const carrier: Record<string, string> = {};
    propagation.inject(own, carrier, {
      set(into, name, value) {
        // an invalid header is left out, since it would fail the request
        if (PLAIN.test(value)) into[name.toLowerCase()] = value;
      },
    });
    this.carrier = carrier;
    this.#span = span;
    this.#context = own.setValue(SUPPRESSED, true);
    this.#over = over;
  }

  within<Result>(send: () => Result): Result {
    return context.with(this.#context, send);
  }

  value(value: unknown): void {
    const status = httpStatusOf(value);
    if (status === null) return;
    this.#span.setAttribute('http.response.status_code', status);
    if (status >= 400) this.#failed(String(status));
  }

  ended(outcome: string, cause: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over();
    if (outcome === 'cancelled') this.#span.setAttribute('rollcall.outcome', outcome);
    else if (outcome !== 'success') this.#failed(outcome, cause === null ? undefined : messageOf(cause));
    this.#span.end();
  }

  #failed(type: string, message?: string): void {
    this.#span.setAttribute('error.type', type);
    this.#span.setStatus(
      message === undefined ? { code: SpanStatusCode.ERROR } : { code: SpanStatusCode.ERROR, message },
    );
  }
}

function subjectOf({ service, protocol, method, request }: TracedCall): Subject {
  const peer = { 'server.address': service, 'service.peer.name': service };
  if (protocol === 'http') {
    const { verb, path } = httpOf(request);
    const attributes = { ...peer, 'http.request.method': verb };
    return {
      title: `${service} ${method}`,
      attemptTitle: verb,
      kind: SpanKind.INTERNAL,
      attributes,
      // without the query, which may hold secrets
      attemptAttributes: { ...attributes, 'url.full': `http://${service}${path.replace(/\?.*$/s, '')}` },
      isHttp: true,
    };
  }
  const name = protocol === 'grpc' ? (pathOf(request) ?? method) : `${service}/${method}`;
  const attributes = { ...peer, 'rpc.system.name': protocol === 'grpc' ? 'grpc' : 'nestjs', 'rpc.method': name };
  return {
    title: name,
    attemptTitle: `${name} attempt`,
    kind: SpanKind.CLIENT,
    attributes,
    attemptAttributes: attributes,
    isHttp: false,
  };
}

function attributesOf({ instance, endpoint, number, reason, isProbe }: TracedAttempt, isHttp: boolean): Attributes {
  const attributes: Attributes = {
    'server.port': endpoint.port,
    'network.peer.port': endpoint.port,
    'rollcall.instance.id': instance.id,
    'rollcall.attempt': number,
    'rollcall.attempt.reason': reason,
  };
  if (isIP(endpoint.host) !== 0) attributes['network.peer.address'] = endpoint.host;
  if (isHttp && number > 1) attributes['http.request.resend_count'] = number - 1;
  if (isProbe) attributes['rollcall.attempt.probe'] = true;
  return attributes;
}

function httpOf(request: unknown): { readonly verb: string; readonly path: string } {
  const { method = 'GET', path = '/' } = isRecord(request) ? request : {};
  return { verb: String(method), path: String(path) };
}

/** `package.Service/Method` */
function pathOf(request: unknown): string | null {
  return isRecord(request) && typeof request['path'] === 'string' ? request['path'].replace(/^\//, '') : null;
}

/** The status of an `HttpAnswer`, or of a Response in its place; null for another value. */
function httpStatusOf(value: unknown): number | null {
  const answer = isRecord(value) && isRecord(value['head']) ? value['head'] : value;
  return (answer instanceof Response || isRecord(answer)) && typeof answer['status'] === 'number'
    ? answer['status']
    : null;
}
