import { messageOf, nearest, printableText, RollcallError } from '@rollcall/core';
import type { Attempt, Instance, Protocol } from '@rollcall/core';
import type { NoneReason } from '../../balance/balancer.js';
import type { Selector } from '../../balance/nodes/selector.js';
import type { ServiceView } from '../../discovery/catalog.js';
import type { Failure } from '../../transport/transport.js';
import { mayRetry } from '../policy/retry.js';
import { exclusionText } from './exclusion-text.js';

/** The facts of a call that its error text needs. */
export interface CallFacts {
  readonly service: string;
  readonly isIdempotent: boolean;
  readonly attempts: readonly Attempt[];
}

/** The error of a call whose last attempt failed. */
export function failureError(facts: CallFacts, failure: Failure): RollcallError {
  const { service, attempts, isIdempotent } = facts;
  const { cause } = failure;
  if (failure.kind === 'remote') return new RollcallError('REMOTE', remoteText(service, cause), { attempts, cause });
  const executed = mayRetry(failure.kind, false) ? NOT_EXECUTED : isIdempotent ? MAYBE_EXECUTED_SAFE : MAYBE_EXECUTED;
  const why = printableText(messageOf(cause)).replace(/\.$/, '');
  const text = `The call to ${service} failed: ${failure.kind}, ${why}, in ${triesText(attempts)}. ${executed}`;
  return new RollcallError('TRANSPORT', text, { attempts, cause, retryable: mayRetry(failure.kind, isIdempotent) });
}

const NOT_EXECUTED = 'It was not executed: it may be tried again.';
const MAYBE_EXECUTED_SAFE = 'It may have been executed. It is idempotent, so it may be tried again.';
const MAYBE_EXECUTED =
  'It may have been executed: try it again only if that does no harm, and then set the option idempotent.';

function triesText(attempts: readonly Attempt[]): string {
  return attempts.length === 1 ? '1 attempt' : `${attempts.length} attempts`;
}

/** The text of the handler's own error: Nest sends a string, or an object with a message. `cause` contains the full error. */
function remoteText(service: string, cause: unknown): string {
  if (typeof cause === 'string') return `${service} answered with an error: ${printableText(cause)}`;
  if (typeof cause === 'object' && cause !== null && 'message' in cause && typeof cause.message === 'string') {
    return `${service} answered with an error: ${printableText(cause.message)}`;
  }
  return `${service} answered with an error.`;
}

export function deadlineError(facts: CallFacts, ms: number): RollcallError {
  const { service, attempts, isIdempotent } = facts;
  const text = `${service} did not answer within ${Math.round(ms)} ms, in ${triesText(attempts)}. Give it a longer deadlineMs, or see why it is slow.`;
  const executed = attempts.length === 0 || isIdempotent ? '' : ' It may have been executed.';
  return new RollcallError('DEADLINE_EXCEEDED', text + executed, { attempts, retryable: isIdempotent });
}

/** The error of a call that took longer than the timeout set for its method. */
export function timeoutError(facts: CallFacts, timeoutMs: number): RollcallError {
  const { service, attempts, isIdempotent } = facts;
  const text = `${service} did not answer within ${timeoutMs} ms, the timeout of this method (timeoutMs). See why it is slow, or raise timeoutMs.`;
  return new RollcallError('DEADLINE_EXCEEDED', text, { attempts, retryable: isIdempotent });
}

export function idleError(facts: CallFacts, idleMs: number): RollcallError {
  const { service, attempts } = facts;
  const text = `The stream of ${service} sent no value for ${idleMs} ms (idleMs). If it may be silent for longer, raise idleMs.`;
  return new RollcallError('DEADLINE_EXCEEDED', text, { attempts });
}

export function cancelledError(facts: CallFacts, cause: unknown): RollcallError {
  return new RollcallError('CANCELLED', `The call to ${facts.service} was cancelled.`, {
    attempts: facts.attempts,
    cause,
  });
}

export function closedError(service: string, attempts: readonly Attempt[] = []): RollcallError {
  return new RollcallError(
    'CLOSED',
    `The call to ${service} ended because this client was closed. Make no calls after close().`,
    { attempts },
  );
}

export function bulkheadError(service: string, max: number): RollcallError {
  const text = `${max} calls to ${service} are under way (maxConcurrent): this one was not begun. See why they take so long, or raise maxConcurrent.`;
  return new RollcallError('BULKHEAD_FULL', text, { retryable: true });
}

/** `waitedMs`: how long the call waited, ms; omitted if the context states it. */
export function catalogUnavailableError(service: string, waitedMs?: number): RollcallError {
  const after = waitedMs === undefined ? '' : ` after ${Math.round(waitedMs)} ms`;
  const text = `No report on ${service}${after}: the registry has not answered. Check that it runs.`;
  return new RollcallError('NO_CATALOG', text, { retryable: true });
}

/** The facts about a call that no instance accepted. */
interface UnservedCall {
  readonly view: ServiceView;
  readonly protocol: Protocol;
  readonly selector: Selector;
  /** The names of the known services. */
  readonly names: readonly string[];
}

/** The error of a call that no instance accepted. */
export function noneError(reason: NoneReason, unserved: UnservedCall): RollcallError {
  const { view, names } = unserved;
  if (reason === 'NO_INSTANCE' && view.instances.length === 0 && view.status === 'waiting') {
    return catalogUnavailableError(view.service);
  }
  if (reason === 'NO_INSTANCE' && view.instances.length === 0 && view.status === 'unknown') {
    return unknownError(view.service, names);
  }
  return new RollcallError(reason, NONE_TEXT[reason](unserved), { retryable: reason !== 'NO_ENDPOINT' });
}

const NONE_TEXT: Readonly<Record<NoneReason, (unserved: UnservedCall) => string>> = {
  NO_INSTANCE: ({ view: { service, instances }, selector }) =>
    instances.length === 0
      ? `No instance of ${service} is registered. Start one.`
      : `No instance of ${service} may be called. ${exclusionText(instances, selector)}`,
  NO_ENDPOINT: ({ view: { service, instances }, protocol }) =>
    `No instance of ${service} offers ${protocol}: they offer ${offersText(instances)}. send, emit and call use tcp, fetch uses http, grpc uses grpc.`,
  OVERLOADED: ({ view: { service, instances } }) =>
    `Every instance of ${service} that may be called is at its limit of calls under way: ${censusText(instances)}. It was not sent. Try later, start more instances, or see explain("${service}") for their limits.`,
  ALL_EJECTED: ({ view: { service, instances } }) =>
    `Every instance of ${service} is ejected here after failing: ${censusText(instances)} in the registry. One call a second tries again. See explain("${service}") for the failure of each.`,
};

function unknownError(service: string, names: readonly string[]): RollcallError {
  const meant = nearest(service, names);
  const advice = meant === null ? 'Start it, or correct the name.' : `Did you mean ${meant}?`;
  return new RollcallError('UNKNOWN_SERVICE', `The registry knows no service ${service}. ${advice}`);
}

/** For example `2 HEALTHY, 1 CRITICAL`. */
export function censusText(instances: readonly Instance[]): string {
  const counts = new Map<string, number>();
  for (const { state, admin } of instances) {
    const label = admin === 'ENABLED' ? state : `${state} and ${admin}`;
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  return [...counts].map(([label, count]) => `${count} ${label}`).join(', ');
}

function offersText(instances: readonly Instance[]): string {
  const offers = new Set(instances.flatMap((instance) => instance.endpoints.map((endpoint) => endpoint.protocol)));
  return [...offers].join(', ') || 'nothing';
}
