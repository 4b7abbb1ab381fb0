import { RollcallError } from '@rollcall/core';
import type { HedgePolicy, MethodPolicy } from '@rollcall/core';

/** `Symbol.for`, so that two copies of this package read each other's policies. */
const POLICY = Symbol.for('rollcall.handler-policy');
const LONGEST_MS = 3_600_000;

/** For a handler, or for a controller and all of its handlers. */
export type HandlerDecorator = ClassDecorator & MethodDecorator;

/**
 * For a handler, or for a controller and all of its handlers: executing it twice has the effect of once. The
 * registration publishes it, so callers retry it by themselves after a broken connection or a timeout. `false`: it is
 * not idempotent, regardless of its HTTP verb or its controller.
 */
export function Idempotent(isIdempotent = true): HandlerDecorator {
  return withPolicy({ idempotent: isIdempotent });
}

/** The longest time to an answer, 1 … 3,600,000 ms: callers wait no longer for one attempt. Throws OPTION_INVALID. */
export function Timeout(timeoutMs: number): HandlerDecorator {
  return withPolicy({ timeoutMs: checked('Timeout', timeoutMs) });
}

/**
 * Callers may send a second attempt beside a slow first one, if the handler is `@Idempotent()`, too. `afterMs`, 1 …
 * 3,600,000: the wait for the first attempt; default: as long as most calls of it take. Throws OPTION_INVALID.
 */
export function Hedge({ afterMs }: HedgePolicy = {}): HandlerDecorator {
  return withPolicy({ hedge: afterMs === undefined ? true : { afterMs: checked('Hedge', afterMs) } });
}

/** The policy of a handler, which overrides that of its controller. */
export function handlerPolicyOf(controller: Function, handler: Function): MethodPolicy {
  return { ...declaredPolicy(controller), ...declaredPolicy(handler) };
}

function withPolicy(declared: MethodPolicy): HandlerDecorator {
  return (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor): void => {
    const annotated: unknown = descriptor === undefined ? target : descriptor.value;
    if (typeof annotated !== 'function') return;
    Reflect.defineMetadata(POLICY, { ...declaredPolicy(annotated), ...declared }, annotated);
  };
}

function declaredPolicy(target: Function): MethodPolicy {
  const declared: unknown = Reflect.getMetadata(POLICY, target);
  return typeof declared === 'object' && declared !== null ? declared : {};
}

function checked(decorator: string, ms: number): number {
  if (Number.isSafeInteger(ms) && ms >= 1 && ms <= LONGEST_MS) return ms;
  const text = `@${decorator} takes a whole number of ms, 1 … ${LONGEST_MS}; received ${String(ms)}.`;
  throw new RollcallError('OPTION_INVALID', text);
}
