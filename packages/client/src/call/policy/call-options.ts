import { nearest, RollcallError } from '@rollcall/core';
import type { Metadata, State } from '@rollcall/core';
import type { HedgeOption } from './hedge.js';

/** What a request leaves to the calls that are made while it is handled, so that nobody works longer than somebody waits. */
export interface Inherited {
  /** When nobody waits for its answer any more, ms of Time; Infinity: that was not said. */
  readonly deadlineAt: number;
  /** Is it a repetition? Its calls then are not repeated: n attempts at each of m levels would be nᵐ. */
  readonly isRetry: boolean;
}

/** One call's own wishes; they override the policy of its service. */
export interface OneCall {
  /** In all, ms. Default: the policy's. */
  readonly deadlineMs?: number | undefined;
  /** What is left of the deadline of the request that this call is a part of, ms: the smaller of both counts. */
  readonly inheritedMs?: number | undefined;
  /** Is it part of a request that is a repetition itself? Then it is not repeated once it may have been executed. Default: as inherited. */
  readonly isRetry?: boolean | undefined;
  /** Between two values of a stream, ms. */
  readonly idleMs?: number | undefined;
  /** Does it no harm when it is executed twice? Then it is repeated after a broken connection or a timeout, too. Default: no. */
  readonly idempotent?: boolean | undefined;
  readonly allowedStates?: readonly State[] | 'any' | undefined;
  /** A version, or its first parts: `2` means every 2.x. Default: any. */
  readonly version?: string | undefined;
  /** Words that an instance's metadata must hold, each with this value: `{ tier: 'canary' }`. Default: any. */
  readonly metadata?: Metadata | undefined;
  /**
   * What travels beside the payload of a message over TCP, as JSON: Nest 12 gives it to the handler as `TcpContext.getMetadata()`. What
   * Rollcall itself sends there (deadline, attempt, trace) beats it. Over HTTP and gRPC: nothing. Default: nothing.
   */
  readonly packetMetadata?: Readonly<Record<string, unknown>> | undefined;
  /** Calls with the same key go to the same instance, with the balancer `consistent-hash`; others do not look at it. */
  readonly hashKey?: string | undefined;
  /**
   * The longest that one attempt is waited for, ms; also the last one, so less than `deadlineMs` says something. Default: what is said
   * of the method (`calls.services`, or by its instances), else `attemptTimeoutMs` if another attempt may follow.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * May a second attempt be made beside a slow first one, if the call is idempotent? `true`: after the time in which 95 % of the calls
   * of the method are answered. The first good answer counts. Default: what is said of the method, else no.
   */
  readonly hedge?: HedgeOption | undefined;
  /**
   * Makes an answer out of the final error, unless the call was cancelled or the client closed: a value, or a promise of one, which is
   * waited for until the deadline. What it throws is logged, and the call then ends with its own error.
   */
  readonly fallback?: ((error: RollcallError) => unknown) | undefined;
  /** Ends the call with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

/** A call knows these, and no other word. */
export const CALL_OPTION_NAMES: Readonly<Record<keyof OneCall, true>> = {
  deadlineMs: true,
  inheritedMs: true,
  isRetry: true,
  idleMs: true,
  idempotent: true,
  allowedStates: true,
  version: true,
  metadata: true,
  packetMetadata: true,
  hashKey: true,
  timeoutMs: true,
  hedge: true,
  fallback: true,
  signal: true,
};

const KNOWN: ReadonlySet<string> = new Set(Object.keys(CALL_OPTION_NAMES));
/** gRPC calls have these, too; the metadata of the request has been made of them. */
const HEADERS = 'headers';

/**
 * Does it hold any wish? Throws OPTION_INVALID for a word that no call knows. Looks at the names alone, without making anything: it is
 * asked for each call, since one object may be used again with others.
 */
export function checkCallOptions(wishes: OneCall, isGrpc = false): boolean {
  let isAny = false;
  // oxlint-disable-next-line guard-for-in -- what is inherited would be read, too
  for (const key in wishes) {
    if (!isWish(key) && !(isGrpc && key === HEADERS)) throw strangeWish(key);
    isAny = true;
  }
  return isAny;
}

/** As CALL_WISHES has them. Names of properties are compared as pointers here: no dearer than to count them, and a Set is three times that. */
function isWish(key: string): boolean {
  switch (key) {
    case 'deadlineMs':
    case 'idempotent':
    case 'hedge':
    case 'signal':
    case 'timeoutMs':
    case 'hashKey':
    case 'version':
    case 'metadata':
    case 'packetMetadata':
    case 'allowedStates':
    case 'fallback':
    case 'idleMs':
    case 'inheritedMs':
    case 'isRetry':
      return true;
    default:
      return false;
  }
}

function strangeWish(word: string): RollcallError {
  return new RollcallError('OPTION_INVALID', `${word} is no option of a call. ${adviceFor(word)}`);
}

function adviceFor(word: string): string {
  if (word === HEADERS) return 'Headers of an HTTP request go in the init of fetch; over TCP there are none.';
  // as others say it, in ms
  const near = KNOWN.has(`${word}Ms`) ? `${word}Ms` : nearest(word, KNOWN);
  return near === null ? `It knows ${[...KNOWN].join(', ')}.` : `Did you mean ${near}?`;
}
