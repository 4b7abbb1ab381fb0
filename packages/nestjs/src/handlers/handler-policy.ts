import { RollcallError } from '@rollcall/core';
import type { HedgePolicy, MethodPolicy } from '@rollcall/core';

/** `Symbol.for`, so that two copies of this package read each other's. */
const POLICY = Symbol.for('rollcall.handler-policy');
const LONGEST_MS = 3_600_000;

/** On a handler, or on a controller for all of its handlers. */
export type HandlerDecorator = ClassDecorator & MethodDecorator;

/**
 * On a handler, or on a controller for all of its handlers: executing it twice does no more than once. It is published with the
 * registration, so callers repeat it by themselves after a broken connection or a timeout. `false`: it is not, whatever its HTTP verb
 * or its controller says.
 */
export function Idempotent(isIdempotent = true): HandlerDecorator {
  return policy({ idempotent: isIdempotent });
}

/** The most that an answer takes, 1 … 3,600,000 ms: callers wait no longer for one attempt. Throws OPTION_INVALID. */
export function Timeout(timeoutMs: number): HandlerDecorator {
  return policy({ timeoutMs: checked('Timeout', timeoutMs) });
}

/**
 * Callers may make a second attempt beside a slow first one, if it is `@Idempotent()` too. `afterMs`, 1 … 3,600,000: how long the first
 * one is waited for; left out, as long as most calls of it take. Throws OPTION_INVALID.
 */
export function Hedge({ afterMs }: HedgePolicy = {}): HandlerDecorator {
  return policy({ hedge: afterMs === undefined ? true : { afterMs: checked('Hedge', afterMs) } });
}

/** What was said of a handler, before that of its controller. */
export function handlerPolicyOf(controller: Function, handler: Function): MethodPolicy {
  return { ...saidOf(controller), ...saidOf(handler) };
}

function policy(said: MethodPolicy): HandlerDecorator {
  return (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor): void => {
    const bearer: unknown = descriptor === undefined ? target : descriptor.value;
    if (typeof bearer !== 'function') return;
    Reflect.defineMetadata(POLICY, { ...saidOf(bearer), ...said }, bearer);
  };
}

function saidOf(bearer: Function): MethodPolicy {
  const said: unknown = Reflect.getMetadata(POLICY, bearer);
  return typeof said === 'object' && said !== null ? said : {};
}

function checked(decorator: string, ms: number): number {
  if (Number.isSafeInteger(ms) && ms >= 1 && ms <= LONGEST_MS) return ms;
  const text = `@${decorator} takes a whole number of ms, 1 … ${LONGEST_MS}; received ${String(ms)}.`;
  throw new RollcallError('OPTION_INVALID', text);
}
