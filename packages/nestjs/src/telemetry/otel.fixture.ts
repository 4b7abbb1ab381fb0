import { AsyncLocalStorage } from 'node:async_hooks';
import { context, propagation, ROOT_CONTEXT, trace, TraceFlags } from '@opentelemetry/api';
import type { Context, ContextManager, TextMapPropagator } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';

/** As @opentelemetry/context-async-hooks implements it. */
class LocalContexts implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>();

  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT;
  }

  with<Args extends unknown[], Work extends (...args: Args) => ReturnType<Work>>(
    own: Context,
    work: Work,
    self?: ThisParameterType<Work>,
    ...args: Args
  ): ReturnType<Work> {
    return this.#storage.run(own, () => Reflect.apply(work, self, args));
  }

  bind<Bound>(_own: Context, target: Bound): Bound {
    return target;
  }

  enable(): this {
    return this;
  }

  disable(): this {
    return this;
  }
}

/** The W3C propagator, shortened. */
const w3c: TextMapPropagator = {
  inject(own, carrier, setter) {
    const span = trace.getSpanContext(own);
    if (span === undefined) return;
    setter.set(carrier, 'traceparent', `00-${span.traceId}-${span.spanId}-0${span.traceFlags}`);
  },
  extract(own, carrier, getter) {
    const [, traceId = '', spanId = '', flags] = String(getter.get(carrier, 'traceparent')).split('-');
    if (flags === undefined) return own;
    const traceFlags = flags === '01' ? TraceFlags.SAMPLED : TraceFlags.NONE;
    return trace.setSpanContext(own, { traceId, spanId, traceFlags, isRemote: true });
  },
  fields: () => ['traceparent'],
};

/** OpenTelemetry's SDK in this process, until `close`. */
export class Telemetry {
  readonly #exporter = new InMemorySpanExporter();

  constructor() {
    const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#exporter)] });
    trace.setGlobalTracerProvider(provider);
    context.setGlobalContextManager(new LocalContexts());
    propagation.setGlobalPropagator(w3c);
  }

  /** The ended spans, in order. */
  get spans(): readonly ReadableSpan[] {
    return this.#exporter.getFinishedSpans();
  }

  named(name: string): ReadableSpan {
    const span = this.spans.find((one) => one.name === name);
    if (span === undefined)
      throw new Error(`There is no span "${name}", but ${this.spans.map((one) => one.name).join(', ')}.`);
    return span;
  }

  /** Restores the process to its state before. */
  close(): void {
    trace.disable();
    context.disable();
    propagation.disable();
  }
}
