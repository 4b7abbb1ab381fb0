import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { Provider } from '@nestjs/common';
import { option, parseOptions } from '@rollcall/core';
import type { OptionsOf } from '@rollcall/core';
import { SETTINGS } from './inject.js';

/** A registry inside this process, as `embedRegistry()` of @rollcall/registry/embed makes it. */
export interface EmbeddedRegistry {
  /** Where it is reached once it has started: others may hold it. */
  readonly url: string;
  /** Binds the port, or joins the registry that has it already. Rejects in production unless it was made for that. */
  start(environment: { readonly production: boolean }): Promise<unknown>;
  /** May be called twice, and without a start. */
  close(): Promise<void>;
}

const FIELDS = {
  service: option.string({ doc: 'TEMP' }),
  url: option.string({ doc: 'TEMP' }),
  namespace: option.string({ doc: 'TEMP' }),
  zone: option.string({ doc: 'TEMP' }),
  advertise: option.string({
    doc: 'The host name or IP address that others are told to call; by default the one that the server is bound to, else the one that the registry sees.',
  }),
  register: option.oneOf(['auto', 'manual'], {
    doc: '`auto` registers as soon as every server of the application listens; `manual` waits for `RollcallAgent.register()`.',
    default: 'auto',
  }),
  registry: option.value<EmbeddedRegistry>({
    doc: 'A registry inside this process, for development and small systems. It beats ROLLCALL_URL, and excludes url.',
    allowed: 'what embedRegistry() returns',
    is: isEmbeddedRegistry,
  }),
  drain: option.object(
    {
      deadlineMs: option.number({
        doc: 'The longest a shutdown waits for requests in flight.',
        unit: 'ms',
        min: 0,
        max: 3_600_000,
        default: 10_000,
      }),
      quietMs: option.number({
        doc: 'How long no request may have come before the end: the time callers need to hear of it and move away. Not waited for when nobody watches the service.',
        unit: 'ms',
        min: 0,
        max: 60_000,
        default: 100,
      }),
    },
    { doc: 'How this process stops without failing a call.' },
  ),
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Options beat the environment, the environment beats the defaults. Throws OPTION_INVALID that names every flaw. */
export function readSettings(options: RollcallModuleOptions, environment: Environment) {
  const parsed = parseOptions(FIELDS, options);
  return {
    service: parsed.service ?? null,
    registries: [parsed.registry?.url ?? parsed.url ?? environment['ROLLCALL_URL'] ?? 'http://127.0.0.1:1337'],
    advertise: parsed.advertise ?? environment['ROLLCALL_ADVERTISE_HOST'] ?? null,
    register: parsed.register,
    registry: parsed.registry ?? null,
    isProduction: environment['NODE_ENV'] === 'production',
    drain: parsed.drain,
  };
}

export type Settings = ReturnType<typeof readSettings>;

type Loose<Options> = { readonly [Key in keyof Options]?: Options[Key] extends object ? Partial<Options[Key]> : Options[Key] };
export type RollcallModuleOptions = Loose<OptionsOf<typeof FIELDS>>;

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<RollcallModuleOptions>({ moduleName: 'Rollcall' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createRollcallOptions')
    .build();

export const settingsProvider: Provider = {
  provide: SETTINGS,
  inject: [MODULE_OPTIONS_TOKEN],
  useFactory: (options: RollcallModuleOptions) => readSettings(options, process.env),
};

function isEmbeddedRegistry(received: unknown): received is EmbeddedRegistry {
  if (typeof received !== 'object' || received === null) return false;
  return 'url' in received && typeof received.url === 'string' && 'start' in received && 'close' in received;
}
