import { RollcallError, STATES } from '@rollcall/core';
import type { ResolvedCallOptions } from './policy/call-kind.js';
import { checkCallOptions } from './policy/call-options.js';
import type { OneCall } from './policy/call-options.js';
import { hedgeAfter } from './policy/hedge.js';
import type { CallRequest } from './service/call-request.js';
import type { CalledService } from './service/called-service.js';

export const NO_OPTIONS: OneCall = {};

/**
 * Resolves the options of a call: its own first, then those of its method, then the policy of its service. `isRetry` is true if the call
 * belongs to a request that is a retry. Calls without options of their own share the result until the options of the method change. Throws
 * OPTION_INVALID.
 */
export function termsOf<Request>(
  callee: CalledService,
  callRequest: CallRequest<Request>,
  options: OneCall,
  isRetry: boolean,
): ResolvedCallOptions {
  const hasOptions = options !== NO_OPTIONS && checkCallOptions(options, isGrpc(callRequest.request));
  if (isRetry || hasOptions) return made(callee, callRequest, options, isRetry);
  const { method, callKind } = callRequest;
  const known = method.termsFor(callKind);
  if (known !== null) return known;
  const terms = made(callee, callRequest, options, isRetry);
  method.keepTerms(callKind, terms);
  return terms;
}

/** A gRPC request: `headers` in its options are already part of its metadata. */
function isGrpc(request: unknown): boolean {
  return typeof request === 'object' && request !== null && 'frame' in request;
}

// eslint-disable-next-line max-params -- those of `termsOf`
function made<Request>(
  callee: CalledService,
  { method: { rules }, callKind }: CallRequest<Request>,
  options: OneCall,
  isInherited: boolean,
): ResolvedCallOptions {
  const timeoutMs = options.timeoutMs ?? rules.timeoutMs;
  const ownMs = options.deadlineMs ?? usualDeadlineMs(callee, timeoutMs);
  const isRetry = options.isRetry ?? isInherited;
  const isHarmless =
    callKind.idempotent !== 'never' &&
    (options.idempotent ?? rules.isIdempotent ?? callKind.idempotent === 'unless-said');
  // a request that is retried one level up is not retried here as well
  const isIdempotent = isHarmless && !isRetry;
  const hedge = options.hedge === undefined ? rules.hedge : hedgeAfter(options.hedge);
  const idleMs = options.idleMs ?? callee.policy.idleMs;
  // no timer can fire at such a time
  if (!(timeoutMs > 0 && idleMs > 0) || Number.isNaN(ownMs)) throw noTime(options);
  return {
    deadlineMs: Math.min(ownMs, options.inheritedMs ?? Infinity),
    idleMs,
    isIdempotent,
    isRetry,
    shape: callKind.shape,
    selector: selectorOf(callee, options),
    hashKey: options.hashKey ?? null,
    timeoutMs,
    hedge: isIdempotent ? hedge : 'never',
  };
}

function noTime({ timeoutMs, idleMs, deadlineMs }: OneCall): RollcallError {
  const received = `timeoutMs ${timeoutMs}, idleMs ${idleMs}, deadlineMs ${deadlineMs}`;
  const text = `timeoutMs, idleMs and deadlineMs have to be numbers of ms, and timeoutMs and idleMs greater than 0; received ${received}.`;
  return new RollcallError('OPTION_INVALID', text);
}

/** The default deadline: raised to the timeout of the method if that is longer, unless the deadline is set for the service. */
function usualDeadlineMs(callee: CalledService, timeoutMs: number): number {
  const { deadlineMs } = callee.policy;
  return timeoutMs === Infinity || callee.isDeadlineSet ? deadlineMs : Math.max(deadlineMs, timeoutMs);
}

function selectorOf(callee: CalledService, options: OneCall): ResolvedCallOptions['selector'] {
  const { allowedStates, version, metadata } = options;
  return callee.selector({ states: allowedStates === 'any' ? STATES : allowedStates, version, metadata });
}
