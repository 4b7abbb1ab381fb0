import type { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { MetadataScanner } from '@nestjs/core';
import { Transport } from '@nestjs/microservices';
import { PATTERN_HANDLER_METADATA, PATTERN_METADATA, TRANSPORT_METADATA } from '@nestjs/microservices/constants.js';
import { isMethodName, methodNameOf, MAX_METHOD_BYTES, MAX_METHODS, sizeOfMethods } from '@rollcall/core';
import type { MethodPolicy, Methods } from '@rollcall/core';
import { handlerPolicyOf } from './handler-policy.js';
import { modulePathOf, routeNamesOf } from './routes.js';
import type { RouteName } from './routes.js';

/** The published policies of an application's handlers, and warnings about those that could not be published. */
export interface Published {
  /** Left out if there are none. */
  readonly methods?: Methods;
  /** Warnings for the developer of the handlers. */
  readonly problems: readonly string[];
}

/** One handler, with every name that callers have for it. */
interface Handler {
  /** For messages: `OrdersController.find`. */
  readonly title: string;
  readonly policy: MethodPolicy;
  readonly messages: readonly string[];
  readonly routes: readonly RouteName[];
}

const KEYS = ['idempotent', 'timeoutMs', 'hedge'] as const;

/** The value of `PatternHandler.MESSAGE`, which Nest does not export; events have no answer, so they have no policy. */
const MESSAGE_HANDLER = 1;

/**
 * Collects the policies that decorators set on the handlers of an application. Callers know less than its routes: `POST
 * /orders` stands for all routes with that beginning, so a name publishes only what all of its handlers declare.
 */
export function publishedBy(modules: ModulesContainer, config: ApplicationConfig): Published {
  return publish(handlersOf(modules, config));
}

function handlersOf(modules: ModulesContainer, config: ApplicationConfig): Handler[] {
  const scanner = new MetadataScanner();
  return [...modules.values()].flatMap(({ controllers, metatype: module }) => {
    const modulePath = modulePathOf(module, modules.applicationId);
    return [...controllers.values()].flatMap(({ metatype: controller }) => {
      if (typeof controller !== 'function') return [];
      const prototype: object = controller.prototype;
      return scanner.getAllMethodNames(prototype).flatMap((key) => {
        const handler: unknown = Reflect.get(prototype, key);
        if (typeof handler !== 'function') return [];
        return {
          title: `${controller.name}.${key}`,
          policy: handlerPolicyOf(controller, handler),
          messages: messageNamesOf(handler),
          routes: routeNamesOf({ controller, handler, modulePath }, config),
        };
      });
    });
  });
}

/**
 * The name of a pattern for callers over TCP; `Orders/Find` over gRPC, without the package, which the decorator does
 * not have.
 */
function messageNamesOf(handler: Function): string[] {
  if (Reflect.getMetadata(PATTERN_HANDLER_METADATA, handler) !== MESSAGE_HANDLER) return [];
  const transport: unknown = Reflect.getMetadata(TRANSPORT_METADATA, handler) ?? Transport.TCP;
  const declared: unknown = Reflect.getMetadata(PATTERN_METADATA, handler);
  const patterns: unknown[] = Array.isArray(declared) ? declared : [];
  if (transport === Transport.TCP) return patterns.map(methodNameOf);
  return transport === Transport.GRPC ? patterns.flatMap(grpcNameOf) : [];
}

function grpcNameOf(pattern: unknown): string[] {
  if (typeof pattern !== 'object' || pattern === null || !('service' in pattern) || !('rpc' in pattern)) return [];
  return [`${String(pattern.service)}/${String(pattern.rpc)}`];
}

function publish(handlers: readonly Handler[]): Published {
  const problems: string[] = [];
  const methods: Record<string, MethodPolicy> = {};
  const byName = new Map<string, Handler[]>();
  for (const handler of handlers)
    for (const name of namesOf(handler)) byName.set(name, [...(byName.get(name) ?? []), handler]);
  for (const [name, own] of byName) {
    const others = handlers.filter((handler) =>
      handler.routes.some((route) => isAny(route) && name.startsWith(`${route.verb} /`)),
    );
    const policy = agreed([...own, ...others].map((handler) => handler.policy));
    if (isMethodName(name) && !isEmpty(policy)) methods[name] = policy;
    problems.push(
      ...own.filter((handler) => !isWhole(handler, policy)).map(({ title }) => overriddenText(title, name)),
    );
  }
  for (const { title, policy, messages, routes } of handlers) {
    if (!isEmpty(policy) && messages.length === 0 && !routes.some((route) => !isAny(route)))
      problems.push(unnamedText(title));
    if (policy.hedge !== undefined && policy.hedge !== false && policy.idempotent !== true)
      problems.push(unhedgedText(title));
  }
  const isTooMuch = Object.keys(methods).length > MAX_METHODS || sizeOfMethods(methods) > MAX_METHOD_BYTES;
  if (isTooMuch) return { problems: [...problems, TOO_MANY_METHODS] };
  return isEmpty(methods) ? { problems } : { methods, problems };
}

function namesOf({ messages, routes }: Handler): Set<string> {
  return new Set([...messages, ...routes.flatMap(({ name }) => name ?? [])]);
}

/** The policy that holds for all of them: a field that all declare, with the longest time; one `false` counts for all. */
function agreed(policies: readonly MethodPolicy[]): MethodPolicy {
  const idempotent = agreedOn(policies.map((policy) => policy.idempotent));
  const hedge = agreedOn(
    policies.map(({ hedge: declared }) => (declared === undefined ? undefined : declared !== false)),
  );
  const waits = policies.flatMap(({ hedge: declared }) =>
    typeof declared === 'object' ? (declared.afterMs ?? []) : [],
  );
  const times = policies.flatMap(({ timeoutMs }) => timeoutMs ?? []);
  return {
    ...(idempotent === undefined ? {} : { idempotent }),
    ...(times.length < policies.length ? {} : { timeoutMs: Math.max(...times) }),
    ...(hedge === undefined ? {} : { hedge: hedge && waits.length > 0 ? { afterMs: Math.max(...waits) } : hedge }),
  };
}

/** False if any is false, true if all are true, else undefined. */
function agreedOn(flags: readonly (boolean | undefined)[]): boolean | undefined {
  if (flags.includes(false)) return false;
  return flags.includes(undefined) ? undefined : true;
}

function isWhole({ policy }: Handler, published: MethodPolicy): boolean {
  return KEYS.every(
    (key) => policy[key] === undefined || JSON.stringify(policy[key]) === JSON.stringify(published[key]),
  );
}

const isAny = ({ name }: RouteName): boolean => name === null;
const isEmpty = (record: object): boolean => Object.keys(record).length === 0;

const overriddenText = (title: string, name: string): string =>
  `The policy of ${title} is not all published: callers know it as ${name}, and another handler of that name declares another one or none.`;
const unnamedText = (title: string): string =>
  `The policy of ${title} is not published: its path begins with a parameter, or it answers no callers.`;
const unhedgedText = (title: string): string => `${title} is not hedged: @Hedge needs @Idempotent() beside it.`;
const TOO_MANY_METHODS = `Nothing is published of the handlers: more than ${MAX_METHODS} names, or ${MAX_METHOD_BYTES} bytes. Decorate fewer.`;
