import { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Context, Span, TextMapGetter, Tracer } from '@opentelemetry/api';
import { messageOf } from '@rollcall/core';
import { isObservable, Observable } from 'rxjs';
import type { RequestTracer } from '../calls/tracing.js';

type Carrier = Readonly<Record<string, unknown>>;

/** Foreign callers may send anything: only texts count. */
const GETTER: TextMapGetter<Carrier> = {
  keys: (carrier) => Object.keys(carrier),
  get(carrier, key) {
    const value = Object.hasOwn(carrier, key) ? carrier[key] : undefined;
    return typeof value === 'string' ? value : undefined;
  },
};

/**
 * Creates a span for each message over TCP, from the start of its handler to the end of its answer, in the trace of the
 * sender.
 */
export class OtelRequests implements RequestTracer {
  readonly #tracer: Tracer;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  receive<Result>(carrier: Carrier, work: () => Result): Result {
    return context.with(propagation.extract(ROOT_CONTEXT, carrier, GETTER), work);
  }

  async handle(pattern: string, work: () => Promise<unknown>): Promise<unknown> {
    const attributes = { 'rpc.system.name': 'nestjs', 'rpc.method': pattern };
    const parent = context.active();
    const span = this.#tracer.startSpan(pattern, { kind: SpanKind.SERVER, attributes }, parent);
    const own = trace.setSpan(parent, span);
    try {
      const answer = await context.with(own, work);
      if (isObservable(answer)) return followed(answer, span, own);
      span.end();
      return answer;
    } catch (error) {
      failed(span, error);
      span.end();
      throw error;
    }
  }
}

/** The same values; the span ends with them, or when the caller unsubscribes. */
function followed(answer: Observable<unknown>, span: Span, own: Context): Observable<unknown> {
  return new Observable((observer) => {
    const subscription = context.with(own, () =>
      answer.subscribe({
        next: (value) => observer.next(value),
        error: (error) => {
          failed(span, error);
          observer.error(error);
        },
        complete: () => observer.complete(),
      }),
    );
    return () => {
      subscription.unsubscribe();
      span.end();
    };
  });
}

function failed(span: Span, error: unknown): void {
  span.setAttribute('error.type', typeOf(error));
  span.setStatus({ code: SpanStatusCode.ERROR, message: messageTextOf(error) });
}

/** Nest's filters turn exceptions into objects, with a code if it is one of ours. */
function typeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code;
  return error instanceof Error ? error.name : 'remote';
}

function messageTextOf(error: unknown): string {
  const hasMessage =
    typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string';
  return hasMessage ? String(error.message) : messageOf(error);
}
