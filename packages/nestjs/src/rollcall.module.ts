import { Global, Inject, Injectable, Module } from '@nestjs/common';
import type {
  DynamicModule,
  ExceptionFilter,
  OnApplicationBootstrap,
  OnModuleDestroy,
  OnModuleInit,
  Provider,
} from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost, ModuleRef, ModulesContainer } from '@nestjs/core';
import { Rollcall } from '@rollcall/client';
import type { Inherited } from '@rollcall/client';
import { RollcallError } from '@rollcall/core';
import { DeadlineContext } from './calls/deadline-context.js';
import { NoExceptionFilter, placeLast, RollcallExceptionFilter } from './calls/exception-filter.js';
import { asyncFeatureParts, featureParts, refuseAmbiguous } from './features.js';
import type { ServiceFeature, ServiceFeatureAsync } from './features.js';
import { AGENT, INHERITANCE, MEMBERSHIP, PORTS, ROLLCALL, SETTINGS } from './inject.js';
import type { Ports } from './inject.js';
import { InstanceNews } from './instance-events/on-instance-change-log.js';
import { systemPorts } from './ports.js';
import { Agent, RollcallAgent } from './registration/agent.js';
import { Membership } from './registration/membership.js';
import { ConfigurableModuleClass, settingsProvider } from './rollcall.module-definition.js';
import type { RollcallModuleAsyncOptions, RollcallModuleOptions, Settings } from './rollcall.module-definition.js';

/**
 * The module that all modules of one application share; it is global so that `forFeature` sees it. Each application has
 * its own.
 */
@Global()
@Module({
  providers: [
    settingsProvider,
    { provide: PORTS, inject: [SETTINGS], useFactory: systemPorts },
    { provide: INHERITANCE, inject: [PORTS], useFactory: (ports: Ports) => new DeadlineContext(ports.time) },
    {
      provide: ROLLCALL,
      inject: [SETTINGS, PORTS, INHERITANCE],
      useFactory: (settings: Settings, ports: Ports, inheritance: DeadlineContext) =>
        new Rollcall(settings.client, { ...ports, inherited: () => inheritedBy(inheritance) }),
    },
    {
      provide: APP_FILTER,
      inject: [SETTINGS, PORTS, HttpAdapterHost, ModuleRef],
      useFactory: filterOf,
    },
    { provide: Rollcall, useExisting: ROLLCALL },
    { provide: MEMBERSHIP, useClass: Membership },
    InstanceNews,
    { provide: AGENT, useClass: Agent },
    { provide: RollcallAgent, inject: [AGENT], useFactory: (agent: Agent) => new RollcallAgent(agent) },
  ],
  exports: [ROLLCALL, Rollcall, SETTINGS, PORTS, INHERITANCE, MEMBERSHIP, InstanceNews, AGENT, RollcallAgent],
})
class RollcallCoreModule extends ConfigurableModuleClass {
  constructor(@Inject(ModulesContainer) modules: ModulesContainer) {
    super();
    refuseSecondRoot(modules);
    refuseAmbiguous(modules);
  }
}

// eslint-disable-next-line max-params -- what Nest injects
function filterOf(settings: Settings, { log }: Ports, http: HttpAdapterHost, module: ModuleRef): ExceptionFilter {
  if (!settings.exceptionFilter) return new NoExceptionFilter();
  const filter = new RollcallExceptionFilter(http, log);
  return placeLast(filter, module) ? new NoExceptionFilter() : filter;
}

/**
 * The deadline context of the current request for a call. The first call enables the context, if `usesClient` did not find the
 * client.
 */
function inheritedBy(inheritance: DeadlineContext): Inherited | null {
  inheritance.expectCalls();
  return inheritance.current();
}

function refuseSecondRoot(modules: ModulesContainer): void {
  const all = [...modules.values()];
  // core modules are global and so imported everywhere; the lifecycle module is only where `forRoot` put it
  const isRoot = (candidate: (typeof all)[number]): boolean =>
    candidate.metatype === RollcallModule &&
    [...candidate.imports].some((inner) => inner.metatype === RollcallLifecycleModule);
  const importers = all.flatMap((place) => [...place.imports].filter(isRoot).map(() => place.name));
  const cores = all.filter((candidate) => candidate.metatype === RollcallCoreModule);
  if (cores.length < 2) return;
  throw new RollcallError(
    'OPTION_INVALID',
    `RollcallModule.forRoot() was imported ${cores.length} times, in the imports of ${importers.join(' and of ')}, but one process is one ` +
      'instance. Keep one, and name the services that others call with RollcallModule.forFeature.',
  );
}

/**
 * When an application is destroyed, hooks of a global module run last, after the user's connection pools are closed. So
 * the hooks are in a module that is not global, but nearer than the root: it is initialised last and destroyed first.
 */
@Injectable()
class Lifecycle implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  constructor(
    @Inject(AGENT) private readonly agent: Agent,
    @Inject(MEMBERSHIP) private readonly membership: Membership,
    @Inject(InstanceNews) private readonly news: InstanceNews,
    @Inject(ModulesContainer) modules: ModulesContainer,
  ) {
    for (const module of modules.values()) if (module.metatype === RollcallLifecycleModule) module.distance = -1;
  }

  onModuleInit(): void {
    this.agent.mount();
  }

  onApplicationBootstrap(): void {
    this.news.begin();
    this.agent.booted();
  }

  async onModuleDestroy(): Promise<void> {
    await this.membership.drain();
    this.news.close();
  }
}

@Module({ providers: [Lifecycle] })
class RollcallLifecycleModule {}

/** The root with replaced providers, for tests. */
export function rootWith(options: RollcallModuleOptions, providers: readonly Provider[]): DynamicModule {
  const core = RollcallCoreModule.forRoot(options);
  return rootOf({ ...core, providers: [...(core.providers ?? []), ...providers] });
}

/**
 * Service discovery for a Nest application. `forRoot`, once, in the root module, makes this process an instance of the
 * service that it names (without `service` it only calls others); `forFeature` goes into each module that calls
 * services.
 */
@Module({})
export class RollcallModule {
  /** Throws OPTION_INVALID when the application starts, for invalid options and for a second `forRoot`. */
  static forRoot(options: RollcallModuleOptions = {}): DynamicModule {
    return rootOf(RollcallCoreModule.forRoot(options));
  }

  /** `forRoot` with options that are resolved when the application starts. */
  static forRootAsync(options: RollcallModuleAsyncOptions): DynamicModule {
    return rootOf(RollcallCoreModule.forRootAsync(options));
  }

  /**
   * Provides a `ServiceClient` for each service under `getServiceToken(name)`; inject it with `@InjectService(name)`.
   * Another module may name the same service with other options. Throws OPTION_INVALID for an invalid name, for an
   * unknown call option, and for a service that is named twice with options.
   */
  static forFeature(services: readonly (string | ServiceFeature)[]): DynamicModule {
    return { module: RollcallModule, ...featureParts(services) };
  }

  /** `forFeature` with options that are resolved when the application starts. */
  static forFeatureAsync(services: readonly ServiceFeatureAsync[]): DynamicModule {
    return { module: RollcallModule, ...asyncFeatureParts(services) };
  }
}

function rootOf(core: DynamicModule): DynamicModule {
  return { module: RollcallModule, imports: [core, RollcallLifecycleModule] };
}
