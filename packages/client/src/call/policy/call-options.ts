import { nearest, RollcallError } from '@rollcall/core';
import type { Metadata, State } from '@rollcall/core';
import type { HedgeOption } from './hedge.js';

/** The values that a request passes on to the calls made while it is handled, so that no work continues after its caller stops waiting. */
export interface Inherited {
  /** When its caller stops waiting, ms of Time; Infinity: unknown. */
  readonly deadlineAt: number;
  /** True for a retry. Its calls are not repeated: otherwise n attempts at each of m levels would multiply to nᵐ. */
  readonly isRetry: boolean;
}

/** The options of one call; they override the policy of its service. */
export interface OneCall {
  /** Total time of the call, ms. Default: that of the policy. */
  readonly deadlineMs?: number | undefined;
  /** Time left of the deadline of the request that this call belongs to, ms; the smaller of both applies. */
  readonly inheritedMs?: number | undefined;
  /**
   * True if it belongs to a request that is itself a retry: it is then not repeated once it may have been executed.
   * Default: inherited.
   */
  readonly isRetry?: boolean | undefined;
  /** Longest time between two values of a stream, ms. Default: that of the policy. */
  readonly idleMs?: number | undefined;
  /** True if executing the call twice does no harm: it is then also repeated after a broken connection or a timeout. Default: false. */
  readonly idempotent?: boolean | undefined;
  readonly allowedStates?: readonly State[] | 'any' | undefined;
  /** A version or a prefix of one: `2` matches every 2.x. Default: any. */
  readonly version?: string | undefined;
  /** Entries that an instance's metadata must contain: `{ tier: 'canary' }`. Default: none. */
  readonly metadata?: Metadata | undefined;
  /**
   * Data sent beside the payload of a TCP message, as JSON: Nest 12 gives it to the handler as
   * `TcpContext.getMetadata()`. The entries that Rollcall itself sends there (deadline, attempt, trace) take precedence.
   * Ignored over HTTP and gRPC. Default: none.
   */
  readonly packetMetadata?: Readonly<Record<string, unknown>> | undefined;
  /** With the balancer `consistent-hash`, calls with the same key go to the same instance; other balancers ignore it. */
  readonly hashKey?: string | undefined;
  /**
   * The longest time of one attempt, ms, including the last one; it has no effect above `deadlineMs`. Default: the value set for the method
   * (`calls.services`, or by its instances), else `attemptTimeoutMs` if another attempt may follow.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Whether to make a second attempt beside a slow first one, if the call is idempotent. `true`: after the time in which
   * 95 % of the calls of the method are answered. The first good response wins. Default: the value set for the method,
   * else false.
   */
  readonly hedge?: HedgeOption | undefined;
  /**
   * Turns the final error into a response, unless the call was cancelled or the client closed: a value, or a promise of
   * one, which is awaited until the deadline. An error that it throws is logged, and the call then ends with its own
   * error.
   */
  readonly fallback?: ((error: RollcallError) => unknown) | undefined;
  /** Ends the call with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

/** All options of a call; an unknown name is refused. */
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
/** Accepted in gRPC calls too, where it is already part of the metadata of the request. */
const HEADERS = 'headers';

/**
 * True if any option is set. Throws OPTION_INVALID for an unknown name. Checks only the names and allocates no memory: it runs for each
 * call, since an object may be reused with other options.
 */
export function checkCallOptions(options: OneCall, isGrpc = false): boolean {
  let isAny = false;
  // oxlint-disable-next-line guard-for-in -- inherited properties have to be checked too
  for (const key in options) {
    if (!isCallOption(key) && !(isGrpc && key === HEADERS)) throw unknownOptionError(key);
    isAny = true;
  }
  return isAny;
}

/** The names of CALL_OPTION_NAMES. Property names compare as pointers here, which costs a third of a lookup in a Set. */
function isCallOption(key: string): boolean {
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

function unknownOptionError(name: string): RollcallError {
  return new RollcallError('OPTION_INVALID', `${name} is not an option of a call. ${adviceFor(name)}`);
}

function adviceFor(name: string): string {
  if (name === HEADERS) return 'Headers of an HTTP request go in the init of fetch; over TCP there are none.';
  // another common spelling, without the unit
  const near = KNOWN.has(`${name}Ms`) ? `${name}Ms` : nearest(name, KNOWN);
  return near === null ? `Valid options: ${[...KNOWN].join(', ')}.` : `Did you mean ${near}?`;
}
