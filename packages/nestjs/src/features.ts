import type { DynamicModule, FactoryProvider, InjectionToken, ModuleMetadata, Provider, Type } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { ProducerDeserializer, ProducerSerializer } from '@nestjs/microservices';
import { checkCallOptions } from '@rollcall/client';
import type { OneCall, StaticEndpoint } from '@rollcall/client';
import { isRecord, NAME_PATTERN, RollcallError } from '@rollcall/core';
import { readGrpc } from './calls/grpc-proto.js';
import type { GrpcFeature } from './calls/grpc-proto.js';
import { ServiceClient } from './calls/service-client.js';
import { getServiceToken, MEMBERSHIP, ROLLCALL } from './inject.js';
import type { RollcallApi } from './inject.js';
import type { Membership } from './registration/membership.js';

/** A service that this module calls; the other fields are the default options of each call to it. */
export interface ServiceFeature extends Omit<OneCall, 'inheritedMs' | 'signal'> {
  readonly service: string;
  /**
   * Fixed addresses, for a service that no registry knows: it is called there, with balancer, breaker, retries and
   * deadline.
   */
  readonly static?: readonly StaticEndpoint[];
  /** The proto of the service, for `orders.grpc('OrdersService')`. */
  readonly grpc?: GrpcFeature | undefined;
  /** An additional injection token for the client, such as the one that existing code injects. */
  readonly token?: InjectionToken;
  /**
   * For a service whose TCP server has its own `deserializer`: the matching serializer, as for Nest's own client. It
   * must not return a promise. It applies to every call of this process to that service.
   */
  readonly serializer?: ProducerSerializer | undefined;
  /** For a service whose TCP server has its own `serializer`. Applies to every call of this process to that service. */
  readonly deserializer?: ProducerDeserializer | undefined;
}

/** The options that `forFeatureAsync` resolves when the application starts. */
export type ServiceFeatureTerms = Omit<ServiceFeature, 'service' | 'token'>;

/** For `useClass` and `useExisting`. */
export interface ServiceFeatureFactory {
  createServiceFeature(): ServiceFeatureTerms | Promise<ServiceFeatureTerms>;
}

/**
 * A called service whose options are resolved when the application starts, by one of `useFactory`, `useClass`,
 * `useExisting`.
 */
export interface ServiceFeatureAsync extends Pick<ModuleMetadata, 'imports'> {
  readonly service: string;
  readonly token?: InjectionToken;
  /** The providers that `useFactory` receives. */
  readonly inject?: FactoryProvider['inject'];
  readonly useFactory?: FactoryProvider<ServiceFeatureTerms>['useFactory'];
  readonly useClass?: Type<ServiceFeatureFactory>;
  readonly useExisting?: InjectionToken<ServiceFeatureFactory>;
}

type Custom = Exclude<Provider, Function>;

/** The key under which a module of `forFeature` keeps its features. */
const NAMED = Symbol('rollcall.named');

/** The contents of the dynamic module of `forFeature`. Throws OPTION_INVALID. */
export function featureParts(services: readonly (string | ServiceFeature)[]): Omit<DynamicModule, 'module'> {
  const features = services.map((feature) => (typeof feature === 'string' ? { service: feature } : feature));
  for (const feature of features) {
    checkName(feature.service);
    checkCallOptions(defaultsOf(feature));
  }
  refuseTwice(features, 'RollcallModule.forFeature');
  const clients = features.flatMap(({ service, token, ...terms }) => [
    clientOf(service, { provide: termsToken(service), useValue: terms }),
    ...aliasOf(service, token),
  ]);
  return partsOf(features, clients.flat());
}

/** The contents of the dynamic module of `forFeatureAsync`. Throws OPTION_INVALID. */
export function asyncFeatureParts(features: readonly ServiceFeatureAsync[]): Omit<DynamicModule, 'module'> {
  for (const { service } of features) checkName(service);
  refuseTwice(features, 'RollcallModule.forFeatureAsync');
  const clients = features.flatMap((feature) => [
    clientOf(feature.service, ...termsOf(feature)),
    ...aliasOf(feature.service, feature.token),
  ]);
  return { imports: features.flatMap(({ imports = [] }) => imports), ...partsOf(features, clients.flat()) };
}

/** The call options of a feature. */
function defaultsOf({
  static: _fixed,
  grpc: _proto,
  serializer: _to,
  deserializer: _from,
  ...rest
}: ServiceFeature): OneCall {
  const { service: _service, token: _token, ...defaults } = rest;
  return defaults;
}

function partsOf(features: readonly { readonly service: string }[], clients: readonly Custom[]) {
  const found = clients.map(({ provide }) => provide);
  const inner = new Set<InjectionToken>(features.map(({ service }) => termsToken(service)));
  return {
    providers: [...clients, { provide: NAMED, useValue: features }],
    exports: found.filter((token) => !inner.has(token) && typeof token !== 'function'),
  };
}

const termsToken = (service: string): string => `rollcall.terms.${service}`;

/** The provider of the client, and those of its options. */
function clientOf(service: string, ...terms: readonly Custom[]): Custom[] {
  const client: FactoryProvider<ServiceClient> = {
    provide: getServiceToken(service),
    inject: [
      ModulesContainer,
      termsToken(service),
      { token: ROLLCALL, optional: true },
      { token: MEMBERSHIP, optional: true },
    ],
    // eslint-disable-next-line max-params -- what Nest injects
    useFactory: (
      modules: ModulesContainer,
      found: ServiceFeatureTerms,
      rollcall: RollcallApi | undefined,
      membership: Membership | undefined,
    ) =>
      rollcall && membership ? openClient(service, found, { rollcall, membership }) : refuseRootless(service, modules),
  };
  return [...terms, client];
}

interface Root {
  readonly rollcall: RollcallApi;
  readonly membership: Membership;
}

async function openClient(
  service: string,
  { static: fixed, grpc: proto, serializer, deserializer, ...defaults }: ServiceFeatureTerms,
  { rollcall, membership }: Root,
): Promise<ServiceClient> {
  checkCallOptions(defaults);
  if (fixed !== undefined) rollcall.fix(service, fixed);
  if (serializer !== undefined || deserializer !== undefined) {
    rollcall.useTcpCodec(service, { serializer, deserializer });
  }
  membership.want(service);
  const grpc = proto === undefined ? undefined : await readGrpc(service, proto);
  return new ServiceClient({ rollcall, wake: () => void membership.wake(), grpc }, service, defaults);
}

/** Nest skips an optional dependency also if its creation failed; then the original error must surface. */
function refuseRootless(service: string, modules: ModulesContainer): Promise<never> {
  if ([...modules.values()].some(({ providers }) => providers.has(ROLLCALL))) return new Promise(() => {});
  throw new RollcallError(
    'OPTION_INVALID',
    `RollcallModule.forFeature(['${service}']) needs RollcallModule.forRoot, which no module of this application imports. ` +
      'Add RollcallModule.forRoot({}) to the imports of the root module (with the option service, if others call this process by name).',
  );
}

function termsOf(feature: ServiceFeatureAsync): Custom[] {
  const { service, inject = [], useFactory, useClass, useExisting } = feature;
  const provide = termsToken(service);
  if ([useFactory, useClass, useExisting].filter((way) => way !== undefined).length !== 1) {
    throw new RollcallError(
      'OPTION_INVALID',
      `RollcallModule.forFeatureAsync cannot create the options of ${service}: give exactly one of useFactory, useClass and useExisting.`,
    );
  }
  if (useFactory !== undefined) return [{ provide, inject, useFactory }];
  const made = useExisting ?? useClass ?? provide;
  const advice = {
    provide,
    inject: [made],
    useFactory: (factory: ServiceFeatureFactory) => factory.createServiceFeature(),
  };
  return useClass === undefined ? [advice] : [{ provide: useClass, useClass }, advice];
}

function aliasOf(service: string, token: InjectionToken | undefined): Custom[][] {
  return token === undefined ? [] : [[{ provide: token, useExisting: getServiceToken(service) }]];
}

function checkName(service: unknown): void {
  if (typeof service === 'string' && NAME_PATTERN.test(service)) return;
  const better = typeof service === 'string' ? labelLike(service) : '';
  const received = typeof service === 'string' ? `'${service.slice(0, 80)}'` : typeof service;
  throw new RollcallError(
    'OPTION_INVALID',
    `RollcallModule.forFeature: ${received} cannot be the name of a service. A name is a DNS label: lower-case letters, digits and hyphens, ` +
      `at most 63. Write ${better === '' ? 'one' : `'${better}'`} here, in InjectService and in the option service of that application.`,
  );
}

/** The nearest valid name; empty if there is none. */
function labelLike(service: string): string {
  const label = service
    .replaceAll(/([a-z\d])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replaceAll(/[^a-z\d]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^-+|-+$/g, '');
  return NAME_PATTERN.test(label) ? label : '';
}

/**
 * Throws OPTION_INVALID if two features of one list would compete for the same token. Two without options are the same.
 */
function refuseTwice(features: readonly { readonly service: string }[], where: string): void {
  const seen = new Map<string, boolean>();
  for (const feature of features) {
    const isBare = Object.keys(feature).length === 1;
    const before = seen.get(feature.service);
    seen.set(feature.service, isBare);
    if (before === undefined || (before && isBare)) continue;
    throw new RollcallError(
      'OPTION_INVALID',
      `${where} names ${feature.service} twice in one module, with options: only one client of it can be injected there. Name it once, or ` +
        'set the options of single calls where they are made.',
    );
  }
}

/** Checks all `forFeature` modules that one module imports together. Throws OPTION_INVALID. */
export function refuseAmbiguous(modules: ModulesContainer): void {
  for (const place of modules.values()) {
    const named = [...place.imports].flatMap(({ providers }) => namedIn(providers.get(NAMED)?.instance));
    refuseTwice(named, `The module ${place.name}: RollcallModule.forFeature`);
  }
}

function namedIn(kept: unknown): { readonly service: string }[] {
  return Array.isArray(kept) ? kept.filter((one): one is { readonly service: string } => isRecord(one)) : [];
}
