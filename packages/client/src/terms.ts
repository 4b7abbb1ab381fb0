import { STATES } from '@rollcall/core';
import type { ServiceCallee } from './callee.js';
import type { CallTerms } from './errand.js';
import { hedgeAfter } from './hedge.js';
import type { Method } from './method.js';
import type { OneCall } from './wishes.js';

/** What a verb brings with it. */
export interface Verb {
  readonly shape: CallTerms['shape'];
  /** Does it no harm to execute it twice? `unless-said`: yes, if nobody says otherwise. */
  readonly idempotent: 'if-said' | 'unless-said' | 'never';
}

export const CALL: Verb = { shape: 'value', idempotent: 'if-said' };
export const STREAM: Verb = { shape: 'stream', idempotent: 'if-said' };
export const EVENT: Verb = { shape: 'event', idempotent: 'never' };
/** An HTTP request by a verb that is idempotent by RFC 9110. */
export const SAFE_CALL: Verb = { shape: 'value', idempotent: 'unless-said' };
/** Its body can be read only once. */
export const ONE_WAY_CALL: Verb = { shape: 'value', idempotent: 'never' };

const NO_WISHES: OneCall = {};

/**
 * The terms of one call, from now on: its own wishes, before what is said of its method, before the policy of its service; and within
 * what the request that it is a part of has left to it.
 */
export function termsOf(callee: ServiceCallee, method: Method, verb: Verb, wishes: OneCall = NO_WISHES): CallTerms {
  const { policy } = callee;
  const { rules } = method;
  const inherited = callee.inherited();
  const startedAt = callee.now();
  const timeoutMs = wishes.timeoutMs ?? rules.timeoutMs;
  const ownMs = wishes.deadlineMs ?? usualDeadlineMs(callee, timeoutMs);
  const isRetry = wishes.isRetry ?? inherited.isRetry;
  const isIdempotent =
    verb.idempotent !== 'never' && (wishes.idempotent ?? rules.isIdempotent ?? verb.idempotent === 'unless-said');
  const hedge = wishes.hedge === undefined ? rules.hedge : hedgeAfter(wishes.hedge);
  return {
    startedAt,
    deadlineAt: Math.min(startedAt + Math.min(ownMs, wishes.inheritedMs ?? Infinity), inherited.deadlineAt),
    idleMs: wishes.idleMs ?? policy.idleMs,
    isIdempotent,
    isRetry,
    shape: verb.shape,
    selector: wishes === NO_WISHES ? callee.standard : selectorOf(callee, wishes),
    hashKey: wishes.hashKey ?? null,
    mostAttempts: Infinity,
    timeoutMs,
    hedge: isIdempotent && !isRetry ? hedge : 'never',
  };
}

/** A method that takes longer than calls usually may is given the time it says, unless this service's deadline was set. */
function usualDeadlineMs(callee: ServiceCallee, timeoutMs: number): number {
  const { deadlineMs } = callee.policy;
  return timeoutMs === Infinity || callee.isDeadlineSet ? deadlineMs : Math.max(deadlineMs, timeoutMs);
}

function selectorOf(callee: ServiceCallee, wishes: OneCall): CallTerms['selector'] {
  const { allowedStates, version, metadata } = wishes;
  if (allowedStates === undefined && version === undefined && metadata === undefined) return callee.standard;
  return callee.selector({ states: allowedStates === 'any' ? STATES : allowedStates, version, metadata });
}
