import { Module } from '@nestjs/common';
import type { DynamicModule, FactoryProvider } from '@nestjs/common';
import { RollcallError, reasonFor, systemTime } from '@rollcall/core';
import type { Instance, InstanceId, State, Time } from '@rollcall/core';
import type { GrpcRequest, HttpRequest, TcpRequest, Terms } from '@rollcall/client/testing';
import { PORTS, SETTINGS } from './inject.js';
import { systemPorts } from './ports.js';
import { MODULE_OPTIONS_TOKEN, readSettings } from './rollcall.module-definition.js';
import type { RollcallModuleOptions, Settings } from './rollcall.module-definition.js';
import { rootWith } from './rollcall.module.js';
import { serveGrpc, serveHttp, serveTcp } from './testing/handlers.js';
import type { FakeTarget, FakeCall, FakeHandlers } from './testing/handlers.js';
import { TestRoll } from './testing/registry.js';
import { FakeTransport } from './testing/transport.js';
import type { FakeTransports, Fault, Served, InstanceDirectory } from './testing/transport.js';

export { ManualTime, memoryMeter, recordingLog } from '@rollcall/core/testing';
export type { FakeCall, FakeHandlers, FakeHttpRequest } from './testing/handlers.js';
export type { TestRoll } from './testing/registry.js';
export type { Fault } from './testing/transport.js';

/** The fake services of a test, by name. */
export type FakeServiceTable = Readonly<Record<string, FakeHandlers>>;

export interface FakeServicesOptions {
  /**
   * The clock of the application and of all delays; `ManualTime` stops until the test advances it. Default: the
   * machine's clock.
   */
  readonly time?: Time;
}

/** The fields of an instance that a test may set. */
export type FakeInstanceFields = Partial<
  Pick<Instance, 'version' | 'zone' | 'weight' | 'metadata' | 'methods' | 'state'>
>;

/**
 * The part of a `TestingModuleBuilder` that `fakeServices` needs; it imports no package, so that a test may use any
 * version.
 */
export interface OverridesProviders<Builder> {
  overrideProvider(token: unknown): {
    useFactory(options: { factory: (...injected: never[]) => unknown; inject?: unknown[] }): Builder;
  };
}

/**
 * Fake services for the tests of an application. Calls to them use the same balancer, breaker, retries and deadlines as
 * real ones, but the services are objects in this process. No socket to a registry or a service is opened, regardless
 * of the options of the application and of the environment, and no timer is left when the application is closed.
 *
 * Each service starts with one instance.
 */
export function fakeServices(table: FakeServiceTable = {}, options: FakeServicesOptions = {}): FakeServices {
  const services = new FakeServices(options);
  for (const [name, handlers] of Object.entries(table)) services.add(name, handlers);
  return services;
}

export class FakeServices {
  readonly #time: Time;
  readonly #roll: TestRoll;
  readonly #services = new Map<string, FakeService>();
  readonly #instances = new Map<InstanceId, FakeInstance>();
  readonly #calls: FakeCall[] = [];

  constructor({ time = systemTime }: FakeServicesOptions = {}) {
    this.#time = time;
    this.#roll = new TestRoll(time);
  }

  /** Every request that a handler received, in order. */
  get calls(): readonly FakeCall[] {
    return this.#calls;
  }

  /** The names under which applications registered, in order. */
  get registered(): readonly string[] {
    return this.#roll.registrations.map((registration) => registration.service);
  }

  /** Adds a service with one instance. Throws OPTION_INVALID for a name that exists already. */
  add(name: string, handlers: FakeHandlers): FakeService {
    if (this.#services.has(name))
      throw new RollcallError('OPTION_INVALID', `There is a fake service "${name}" already: use overrideService.`);
    const service = new FakeService(name, handlers, {
      time: this.#time,
      roll: this.#roll,
      added: (instance) => void this.#instances.set(instance.id, instance),
    });
    this.#services.set(name, service);
    service.addInstance();
    return service;
  }

  /** Returns a fake service. Throws OPTION_INVALID for an unknown name. */
  service(name: string): FakeService {
    const service = this.#services.get(name);
    if (service !== undefined) return service;
    throw new RollcallError(
      'OPTION_INVALID',
      `There is no fake service "${name}". There are: ${[...this.#services.keys()].join(', ')}.`,
    );
  }

  /** Replaces these handlers; those with other names stay. Adds the service if it does not exist. */
  overrideService(name: string, handlers: FakeHandlers): this {
    const service = this.#services.get(name);
    if (service === undefined) this.add(name, handlers);
    else service.layers.unshift(handlers);
    return this;
  }

  /** Reverts `overrideService` and `fault`, and clears the calls: for a `beforeEach`. */
  reset(): void {
    this.#calls.length = 0;
    for (const service of this.#services.values()) service.reset();
  }

  /**
   * Installs these services in an application that imports `RollcallModule.forRoot`; its options apply, except for the
   * registry.
   */
  applyTo<Builder extends OverridesProviders<Builder>>(builder: Builder): Builder {
    let built = builder;
    for (const { provide, useFactory, inject = [] } of this.providers()) {
      built = built.overrideProvider(provide).useFactory({ factory: useFactory, inject });
    }
    return built;
  }

  /** The replacements of the default providers. */
  providers(): readonly FactoryProvider[] {
    return [
      { provide: SETTINGS, inject: [MODULE_OPTIONS_TOKEN], useFactory: testSettings },
      {
        provide: PORTS,
        inject: [SETTINGS],
        useFactory: (settings: Settings) => ({
          ...systemPorts(settings),
          time: this.#time,
          link: this.#roll.link(),
          transports: this.#transports(),
        }),
      },
    ];
  }

  #transports(): FakeTransports {
    const directory = <Request>(
      serve: (target: FakeTarget, request: Request) => Served,
    ): InstanceDirectory<Request> => ({
      time: this.#time,
      faultOf: (instance: Instance) => {
        const fake = this.#fakeOf(instance);
        return fake === null ? 'absent' : fake.nextFault();
      },
      serve: (instance: Instance, request: Request, terms: Terms) => serve(this.#target(instance, terms), request),
    });
    return {
      tcp: new FakeTransport<TcpRequest>('tcp', directory(serveTcp)),
      http: new FakeTransport<HttpRequest>('http', directory(serveHttp)),
      grpc: new FakeTransport<GrpcRequest>('grpc', directory(serveGrpc)),
    };
  }

  /** The fake service that plays an instance; it plays the addresses of a static service, too. */
  #fakeOf({ id, service, source }: Instance): FakeInstance | null {
    const own = this.#instances.get(id);
    if (own !== undefined || source === 'native') return own ?? null;
    return this.#services.get(service)?.instances[0] ?? null;
  }

  #target(instance: Instance, terms: Terms): FakeTarget {
    return {
      service: instance.service,
      instance: instance.id,
      layers: this.#services.get(instance.service)?.layers ?? [],
      terms,
      note: (call) => void this.#calls.push(call),
    };
  }
}

/** The parts that a fake service receives from `FakeServices`. */
export interface FakeServiceParts {
  readonly time: Time;
  readonly roll: TestRoll;
  added(instance: FakeInstance): void;
}

/** One fake service: its handlers, and as many instances as a test adds. */
export class FakeService {
  readonly name: string;
  /** The first table with a handler of the name answers. */
  readonly layers: FakeHandlers[];
  readonly #parts: FakeServiceParts;
  readonly #instances: FakeInstance[] = [];

  constructor(name: string, handlers: FakeHandlers, parts: FakeServiceParts) {
    this.name = name;
    this.layers = [handlers];
    this.#parts = parts;
    parts.roll.declare(name);
  }

  /** The present instances. */
  get instances(): readonly FakeInstance[] {
    return this.#instances.filter((instance) => instance.isThere);
  }

  /** Adds an instance, `HEALTHY` by default. Callers learn of it at once. */
  addInstance(fields: FakeInstanceFields = {}): FakeInstance {
    const instance = new FakeInstance(this, this.#instances.length + 1, { ...this.#parts, fields });
    this.#instances.push(instance);
    this.#parts.added(instance);
    return instance;
  }

  /** Injects a fault at each present instance. */
  fault(fault: Fault): void {
    for (const instance of this.instances) instance.fault(fault);
  }

  /** Removes all faults. */
  heal(): void {
    for (const instance of this.#instances) instance.heal();
  }

  reset(): void {
    this.layers.splice(0, this.layers.length - 1);
    this.heal();
  }
}

/** Nothing listens there: the transports of a test open no socket. */
const ENDPOINTS: Instance['endpoints'] = [
  { protocol: 'tcp', host: 'fake.invalid', port: 1, tls: false },
  { protocol: 'http', host: 'fake.invalid', port: 2, tls: false },
  { protocol: 'grpc', host: 'fake.invalid', port: 3, tls: false },
];

/** One fake instance. */
export class FakeInstance {
  /** `orders-1`, `orders-2`, … */
  readonly id: InstanceId;
  readonly service: FakeService;
  isThere = true;
  readonly #parts: FakeServiceParts;
  #record: Omit<Instance, 'revision'>;
  #fault: Fault | null = null;
  #left = 0;

  constructor(
    service: FakeService,
    number: number,
    { fields, ...parts }: FakeServiceParts & { readonly fields: FakeInstanceFields },
  ) {
    this.id = `${service.name}-${number}`;
    this.service = service;
    this.#parts = parts;
    const at = parts.time.wall();
    this.#record = {
      id: this.id,
      service: service.name,
      namespace: 'default',
      endpoints: ENDPOINTS,
      version: '',
      zone: '',
      weight: 100,
      metadata: {},
      state: 'HEALTHY',
      reason: reasonFor('BOTH_WAYS_OK'),
      since: at,
      next: null,
      admin: 'ENABLED',
      source: 'native',
      registeredAt: at,
      ...fields,
    };
    parts.roll.put(this.#record);
  }

  /** Injects a fault into requests to it, in place of an earlier one. */
  fault(fault: Fault): void {
    this.#fault = fault;
    this.#left = fault.times ?? Infinity;
  }

  heal(): void {
    this.#fault = null;
  }

  /** Sets the state that the registry reports from now on. */
  become(state: State, reason: string = `the test says ${state}`): void {
    const { code } = this.#record.reason;
    this.#record = { ...this.#record, state, reason: { code, text: reason }, since: this.#parts.time.wall() };
    this.#parts.roll.put(this.#record);
  }

  /** Removes the instance: callers learn of it, and its address refuses. */
  remove(): void {
    this.isThere = false;
    this.#parts.roll.remove(this.service.name, this.id);
  }

  /** The fault of the current request. */
  nextFault(): Fault | 'absent' | null {
    if (!this.isThere) return 'absent';
    if (this.#fault === null || this.#left <= 0) return null;
    this.#left -= 1;
    return this.#fault;
  }
}

/**
 * The root module of a test: `imports: [RollcallTestingModule.forRoot({ orders: { find: ({ id }) => … } }),
 * OrdersModule]`. For an application that imports `RollcallModule.forRoot` itself, use
 * `fakeServices(…).applyTo(Test.createTestingModule(…))`.
 */
@Module({})
export class RollcallTestingModule {
  /** Throws OPTION_INVALID when the application starts, for invalid options. */
  static forRoot(services: FakeServices | FakeServiceTable, options: RollcallModuleOptions = {}): DynamicModule {
    const fakes = services instanceof FakeServices ? services : fakeServices(services);
    return rootWith(options, fakes.providers());
  }
}

/**
 * A test has no late events, so a call without a callable instance fails soon, unless the application sets how long it
 * waits.
 */
const WAIT_MS = 100;

/**
 * The application's own options, without those that would reach out of the test: a registry, a folder, the environment.
 */
function testSettings({
  registry: _registry,
  registryOrder: _order,
  cache: _cache,
  ...options
}: RollcallModuleOptions): Settings {
  return readSettings({ ...options, calls: { catalogWaitMs: WAIT_MS, ...options.calls } }, {});
}
