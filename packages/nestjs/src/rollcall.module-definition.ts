import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { ConfigurableModuleAsyncOptions, FactoryProvider } from '@nestjs/common';
import { clientFields } from '@rollcall/client';
import type { RegistryTlsTerms, RollcallOptions } from '@rollcall/client';
import { option, parseOptions, RollcallError } from '@rollcall/core';
import type { Log } from '@rollcall/core';
import type { Meter } from '@rollcall/core';
import { isMeter, isTracing } from './calls/tracing.js';
import type { Tracing } from './calls/tracing.js';
import { SETTINGS } from './inject.js';

/** A registry inside this process, as `embedRegistry()` of @rollcall/registry/embed returns it. */
export interface EmbeddedRegistry {
  readonly url: string;
  /**
   * Binds the port, or joins the registry that has it already. Rejects in production unless it was configured for
   * production.
   */
  start(environment: { readonly production: boolean; readonly log?: Log }): Promise<void>;
  /** May be called twice, and without `start`. */
  close(): Promise<void>;
}

/** Options override the environment, which overrides the defaults. */
export interface RollcallModuleOptions extends Omit<RollcallOptions, 'registry'> {
  /**
   * URL of the registry, or of several, or a registry inside this process: `embedRegistry()`. Default: ROLLCALL_URL
   * (several are separated by commas), else `http://127.0.0.1:1337`. (ROLLCALL_TOKEN, ROLLCALL_NAMESPACE, ROLLCALL_ZONE
   * and ROLLCALL_ADVERTISE_HOST set the options of these names; ROLLCALL_CA_FILE, ROLLCALL_CERT_FILE and
   * ROLLCALL_KEY_FILE together set `registryTls` if it is left out.)
   */
  readonly registry?: string | readonly string[] | EmbeddedRegistry | undefined;
  /**
   * `auto`, the default: registers as soon as every server of the application listens. `manual`: registers when
   * `RollcallAgent.register()` is called, with the servers that listen then.
   */
  readonly register?: 'auto' | 'manual' | undefined;
  /**
   * The heartbeat port of an application without a port for callers, such as one behind a broker: the registry probes
   * it there, and it takes no calls. 0 … 65,535; 0 is any free one. Default: any free one, and none for an application
   * without any server (`createApplicationContext`), which is registered only if this is set. Set a number if there is
   * a firewall between them.
   */
  readonly heartbeatPort?: number | undefined;
  /** How this process stops without failing a call. */
  readonly drain?: DrainOptions | undefined;
  /**
   * Whether to answer an uncaught `RollcallError` with the HTTP status of its code (503, 504, 502), and in a
   * microservice with an object that has the code. `false`: it is handled as any other error, a 500. All other filters
   * take precedence: those of handlers and controllers, of `app.useGlobalFilters`, and under `APP_FILTER`, in any order
   * of imports. Default true.
   */
  readonly exceptionFilter?: boolean | undefined;
  /**
   * The meter for metrics: `prometheusMeter()` of `@rollcall/nestjs/prometheus`, `otelMeter()` of
   * `@rollcall/nestjs/otel`. Default: none.
   */
  readonly meter?: Meter | undefined;
  /** The tracer of calls and messages: `otelTracing()` of `@rollcall/nestjs/otel`. Default: none. */
  readonly tracing?: Tracing | undefined;
}

export interface DrainOptions {
  /** The longest time that a shutdown waits for requests in flight, 0 … 3,600,000 ms. Default 10,000. */
  readonly deadlineMs?: number | undefined;
  /**
   * How long no request must have arrived before the end, 0 … 60,000 ms: the time that callers need to learn of the
   * drain and move away. Skipped if no stream watches this service. Default 100.
   */
  readonly quietMs?: number | undefined;
  /**
   * The shortest time that a shutdown continues to serve, 0 … 3,600,000 ms and at most `deadlineMs`, for callers that
   * the registry does not notify, such as the load balancer of a platform: its pods then need no `preStop`. Default 0.
   */
  readonly leastMs?: number | undefined;
}

/** The options for the parser and docs/OPTIONS.md. */
export const moduleFields = {
  ...clientFields,
  registry: option.value<string | readonly string[] | EmbeddedRegistry, string>({
    doc: 'URL of the registry, or of several, or a registry inside this process.',
    allowed: `${clientFields.registry.allowed}, or what embedRegistry() returns`,
    default: clientFields.registry.default,
    is: isRegistry,
  }),
  register: option.oneOf(['auto', 'manual'], {
    doc: 'Registers as soon as every server of the application listens, or when RollcallAgent.register() is called.',
    default: 'auto',
  }),
  heartbeatPort: option.number({
    doc: 'The heartbeat port of an application without a port for callers, such as one behind a broker; 0, or left out, is any free one. An application without any server (createApplicationContext) is registered only if it is set.',
    min: 0,
    max: 65_535,
    integer: true,
  }),
  drain: option.object(
    {
      deadlineMs: option.number({
        doc: 'The longest time that a shutdown waits for requests in flight.',
        unit: 'ms',
        min: 0,
        max: 3_600_000,
        default: 10_000,
      }),
      quietMs: option.number({
        doc: 'How long no request must have arrived before the end; skipped if no stream watches this service.',
        unit: 'ms',
        min: 0,
        max: 60_000,
        default: 100,
      }),
      leastMs: option.number({
        doc: 'The shortest time that a shutdown continues to serve, for callers that the registry does not notify, such as a load balancer.',
        unit: 'ms',
        min: 0,
        max: 3_600_000,
        default: 0,
      }),
    },
    {
      doc: 'How this process stops without failing a call.',
      rules: [
        ({ leastMs, deadlineMs }) =>
          leastMs <= deadlineMs
            ? null
            : `drain.leastMs ${leastMs} is more than drain.deadlineMs ${deadlineMs}: raise the deadline, or lower leastMs.`,
      ],
    },
  ),
  exceptionFilter: option.boolean({
    doc: 'Answers a RollcallError that no other filter catches with the HTTP status of its code (503, 504, 502), not with 500.',
    default: true,
  }),
  meter: option.value<Meter>({
    doc: 'The meter for the metrics of docs/METRICS.md. Left out, there are none.',
    allowed:
      'a Meter, as prometheusMeter() of @rollcall/nestjs/prometheus or otelMeter() of @rollcall/nestjs/otel make one',
    is: isMeter,
  }),
  tracing: option.value<Tracing>({
    doc: 'The tracer of calls, and of messages over TCP. Left out, there are no traces.',
    allowed: 'what otelTracing() of @rollcall/nestjs/otel returns',
    is: isTracing,
  }),
};

type Environment = Readonly<Record<string, string | undefined>>;

/** The settings from the options and the environment. Throws OPTION_INVALID that names every flaw. */
export function readSettings(options: RollcallModuleOptions, environment: Environment) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const { registry, register, heartbeatPort, drain, exceptionFilter, meter, tracing, ...own } = parseOptions(
    moduleFields,
    {
      registry: urlsOf(environment['ROLLCALL_URL']),
      token: environment['ROLLCALL_TOKEN'] || undefined,
      registryTls: tlsOf(environment),
      namespace: environment['ROLLCALL_NAMESPACE'] || undefined,
      zone: environment['ROLLCALL_ZONE'] || undefined,
      advertiseHost: environment['ROLLCALL_ADVERTISE_HOST'] || undefined,
      ...Object.fromEntries(given),
    },
  );
  const embedded = isEmbedded(registry) ? registry : null;
  const url = isEmbedded(registry) ? knownUrl(registry) : registry;
  const isProduction = environment['NODE_ENV'] === 'production';
  return {
    client: { ...own, registry: url },
    embedded,
    register,
    heartbeatPort,
    drain,
    exceptionFilter,
    meter,
    tracing,
    isProduction,
  };
}

export type Settings = ReturnType<typeof readSettings>;

/** Splits one URL, or several with commas between them. */
function urlsOf(text: string | undefined): string | readonly string[] | undefined {
  if (text === undefined || text === '') return undefined;
  return text.includes(',') ? text.split(',').map((url) => url.trim()) : text;
}

function tlsOf(environment: Environment): RegistryTlsTerms {
  return {
    caFile: environment['ROLLCALL_CA_FILE'] || undefined,
    certFile: environment['ROLLCALL_CERT_FILE'] || undefined,
    keyFile: environment['ROLLCALL_KEY_FILE'] || undefined,
  };
}

/** The client is created before anything is opened, so the port of an embedded registry must be known beforehand. */
function knownUrl({ url }: EmbeddedRegistry): string {
  if (new URL(url).port !== '0') return url;
  throw new RollcallError(
    'OPTION_INVALID',
    `An embedded registry needs a port that is known beforehand; received ${url}.`,
  );
}

function isRegistry(received: unknown): received is string | readonly string[] | EmbeddedRegistry {
  return isEmbedded(received) || clientFields.registry.accept(received, '').ok;
}

function isEmbedded(received: unknown): received is EmbeddedRegistry {
  if (typeof received !== 'object' || received === null) return false;
  return 'url' in received && typeof received.url === 'string' && 'start' in received && 'close' in received;
}

/** As usual in Nest: `useFactory` with `inject`, or a class with `createRollcallOptions()`. */
export type RollcallModuleAsyncOptions = ConfigurableModuleAsyncOptions<RollcallModuleOptions, 'createRollcallOptions'>;

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<RollcallModuleOptions>({
  moduleName: 'Rollcall',
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createRollcallOptions')
  .build();

export const settingsProvider: FactoryProvider<Settings> = {
  provide: SETTINGS,
  inject: [MODULE_OPTIONS_TOKEN],
  useFactory: (options: RollcallModuleOptions) => readSettings(options, process.env),
};
