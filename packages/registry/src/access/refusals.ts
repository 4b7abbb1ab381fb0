import type { Log, Problem, ProblemCode, Time } from '@rollcall/core';
import type { Excess } from '../instances/limits.js';
import type { Outcome } from '../registry-api.js';
import { ThrottledLog } from '../runtime/throttled-log.js';
import { nameOf } from './permissions.js';

const FIXES: Partial<Record<ProblemCode, string>> = {
  FORBIDDEN:
    'Send it from the machine of the registry, to a loopback address, with the header `X-Rollcall-Operator: 1`.',
  NOT_READY: 'Try again after Retry-After; nothing is lost meanwhile.',
  NOT_FOUND: 'Check the name; an instance that was removed registers again with the same id and secret.',
  TOKEN_LAPSED: 'Register again with a token or a certificate that is valid, and the same id and secret.',
  UNAUTHORIZED: 'Send the secret of its registration as "Authorization: Bearer <secret>".',
  ID_HELD: 'Generate a new id at each process start: <service>-<UUIDv7>.',
  ENDED: 'Start with a new id: a process that has left does not come back.',
  LEAVING: 'Let it shut down, and start a new process with a new id.',
  ADDRESS_TAKEN: 'Give each process a port of its own; register again with the same id and secret after 30 s.',
};

/** A refusal as an outcome, with what happened and what to do; `fix` replaces the default fix of the code. */
export function refuse(
  code: ProblemCode,
  detail: string,
  fix = FIXES[code] ?? 'See docs/PROTOCOL.md.',
): Outcome<never> {
  const problem: Problem = { code, detail, fix };
  return { ok: false, problem: code === 'NOT_READY' ? { ...problem, retryAfterMs: 1_000 } : problem };
}

/** An unknown answer is an error, never an empty list. */
export const notReady = (): Outcome<never> => refuse('NOT_READY', 'The registry has not yet loaded its store.');

const RAISE = (limit: string, what: string): string => `${what}, or raise ${limit} in the registry; then try again.`;

/** The texts of each limit. */
const TEXTS: Record<Excess['limit'], (excess: Excess) => { readonly detail: string; readonly fix: string }> = {
  maxInstances: ({ limit, max, count }) => ({
    detail: `This registry holds ${count} instances, and ${limit} is ${max}.`,
    fix: RAISE(limit, 'Remove instances that are not needed'),
  }),
  maxInstancesPerSource: ({ limit, max, count, subject }) => ({
    detail: `${count} instances were registered from ${subject}, and ${limit} is ${max}.`,
    fix: RAISE(limit, 'Remove instances that are not needed'),
  }),
  maxInstancesPerService: ({ limit, max, count, subject }) => ({
    detail: `The service ${subject} has ${count} instances, and ${limit} is ${max}.`,
    fix: RAISE(limit, 'Remove instances that are not needed'),
  }),
  maxInstancesPerToken: ({ limit, max, count, subject }) => ({
    detail: `${nameOf(subject)} holds ${count} instances, and ${limit} is ${max}.`,
    fix: RAISE(limit, 'Remove instances that are not needed, give each service a token or certificate of its own'),
  }),
  maxRegistrationsPerToken: ({ limit, max, subject }) => ({
    detail: `${nameOf(subject)} registers too often: ${limit} is ${max} at once, and as many a minute.`,
    fix: RAISE(limit, 'Wait for Retry-After; register once for each process start'),
  }),
  maxWatchers: ({ limit, max, count }) => ({
    detail: `${count} streams and long polls are open, and ${limit} is ${max}.`,
    fix: RAISE(limit, 'Close streams that are not read'),
  }),
  maxWatchersPerSource: ({ limit, max, count, subject }) => ({
    detail: `${count} streams and long polls are open from ${subject}, and ${limit} is ${max}.`,
    fix: RAISE(limit, 'Close streams that are not read'),
  }),
  newcomers: ({ max, subject }) => ({
    detail: `${subject} registers new instances too fast: it may register ${max} at once, and ${max} a minute.`,
    fix: 'Try again after Retry-After; a process keeps its instance for as long as it runs. A higher maxInstancesPerSource allows more.',
  }),
  address: ({ count, max, subject }) => ({
    detail: `${count} instances are registered at ${subject}, and one address may have ${max}.`,
    fix: 'Give each process a port of its own.',
  }),
  host: ({ count, max, subject }) => ({
    detail: `${count} endpoints are registered on ${subject}, and a host may have ${max} that were not registered from there.`,
    fix: 'Register them from the host that they run on, or spread them over several hosts.',
  }),
  lookups: ({ count, max, subject }) => ({
    detail: `${count} host names are being looked up${subject === '' ? '' : ` for ${subject}`}, and at most ${max} may be looked up at one time.`,
    fix: 'Try again after Retry-After, or announce an IP address instead of a host name.',
  }),
  lookupTime: ({ max, subject }) => ({
    detail: `${subject} did not resolve to an address within ${max} ms.`,
    fix: 'Try again after Retry-After: a late answer is kept for the retry. Or announce an IP address instead of a host name.',
  }),
};

export function tooMany(excess: Excess): Outcome<never> {
  return {
    ok: false,
    problem: { code: 'TOO_MANY', ...TEXTS[excess.limit](excess), retryAfterMs: excess.retryAfterMs },
  };
}

/**
 * Refuses requests beyond a limit, and logs one line a minute per limit, so that a flood of requests does not flood the
 * log.
 */
export class LimitRefusals {
  readonly #ports: { readonly log: Log; readonly time: Time };
  readonly #lines = new Map<Excess['limit'], ThrottledLog>();

  constructor(ports: { readonly log: Log; readonly time: Time }) {
    this.#ports = ports;
  }

  /** Returns the refusal, and logs or counts it. */
  refuse(excess: Excess): Outcome<never> {
    const outcome = tooMany(excess);
    const line = this.#lines.get(excess.limit) ?? new ThrottledLog(this.#ports);
    this.#lines.set(excess.limit, line);
    line.warn(`Refused: ${outcome.ok ? '' : outcome.problem.detail}`);
    return outcome;
  }
}
