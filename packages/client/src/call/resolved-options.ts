import { RollcallError, STATES } from '@rollcall/core';
import type { ResolvedCallOptions } from './policy/call-kind.js';
import { checkCallOptions } from './policy/call-options.js';
import type { OneCall } from './policy/call-options.js';
import { hedgeAfter } from './policy/hedge.js';
import type { CallRequest } from './service/call-request.js';
import type { CalledService } from './service/called-service.js';

export const NO_WISHES: OneCall = {};

/**
 * Resolves the options of a call: its own first, then those of its method, then the policy of its service. `isRetry`: the
 * request that it belongs to is a retry. Calls without own options share the result until the options of the method
 * change. Throws OPTION_INVALID.
 */
export function termsOf<Request>(
  callee: CalledService,
  callRequest: CallRequest<Request>,
  wishes: OneCall,
  isRetry: boolean,
): ResolvedCallOptions {
  const hasWishes = wishes !== NO_WISHES && checkCallOptions(wishes, isGrpc(callRequest.request));
  if (isRetry || hasWishes) return made(callee, callRequest, wishes, isRetry);
  const { method, callKind } = callRequest;
  const known = method.termsFor(callKind);
  if (known !== null) return known;
  const terms = made(callee, callRequest, wishes, isRetry);
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
  wishes: OneCall,
  isInherited: boolean,
): ResolvedCallOptions {
  const timeoutMs = wishes.timeoutMs ?? rules.timeoutMs;
  const ownMs = wishes.deadlineMs ?? usualDeadlineMs(callee, timeoutMs);
  const isRetry = wishes.isRetry ?? isInherited;
  const isHarmless =
    callKind.idempotent !== 'never' &&
    (wishes.idempotent ?? rules.isIdempotent ?? callKind.idempotent === 'unless-said');
  // a request that is retried one level up is not retried here as well
  const isIdempotent = isHarmless && !isRetry;
  const hedge = wishes.hedge === undefined ? rules.hedge : hedgeAfter(wishes.hedge);
  const idleMs = wishes.idleMs ?? callee.policy.idleMs;
  // no timer would ever fire at such a time
  if (!(timeoutMs > 0 && idleMs > 0) || Number.isNaN(ownMs)) throw noTime(wishes);
  return {
    deadlineMs: Math.min(ownMs, wishes.inheritedMs ?? Infinity),
    idleMs,
    isIdempotent,
    isRetry,
    shape: callKind.shape,
    selector: selectorOf(callee, wishes),
    hashKey: wishes.hashKey ?? null,
    timeoutMs,
    hedge: isIdempotent ? hedge : 'never',
  };
}

function noTime({ timeoutMs, idleMs, deadlineMs }: OneCall): RollcallError {
  const received = `timeoutMs ${timeoutMs}, idleMs ${idleMs}, deadlineMs ${deadlineMs}`;
  const text = `The times of a call are numbers of ms, and timeoutMs and idleMs more than 0; received ${received}.`;
  return new RollcallError('OPTION_INVALID', text);
}

/** The default deadline: raised to the timeout of the method if that is longer, unless the service's deadline was set. */
function usualDeadlineMs(callee: CalledService, timeoutMs: number): number {
  const { deadlineMs } = callee.policy;
  return timeoutMs === Infinity || callee.isDeadlineSet ? deadlineMs : Math.max(deadlineMs, timeoutMs);
}

function selectorOf(callee: CalledService, wishes: OneCall): ResolvedCallOptions['selector'] {
  const { allowedStates, version, metadata } = wishes;
  return callee.selector({ states: allowedStates === 'any' ? STATES : allowedStates, version, metadata });
}
