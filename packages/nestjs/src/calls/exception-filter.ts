import { ServerResponse } from 'node:http';
import { Catch } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import type { ApplicationConfig, HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { ERROR_KEY, isRollcallError, RollcallError } from '@rollcall/core';
import type { ErrorCode, Log } from '@rollcall/core';
import { throwError } from 'rxjs';
import { reasonOf, remoteCodeOf, remoteError } from './remote-error.js';

interface Translation {
  readonly status: number;
  /**
   * The text for the caller, which may be external. The error's own message names services and addresses; it is
   * logged.
   */
  readonly detail: string;
}

const REFUSED = 'A service that is needed for the answer refused.';
const FAILED: Translation = { status: 500, detail: 'Something failed here.' };
const NO_INSTANCE_DETAIL = 'A service that is needed for the answer has no instance that can take the call now.';

/** The HTTP answer for each code of a failed call. A code that is not here is a fault of this process. */
const TRANSLATIONS: Readonly<Partial<Record<ErrorCode, Translation>>> = {
  NO_INSTANCE: { status: 503, detail: NO_INSTANCE_DETAIL },
  UNKNOWN_SERVICE: { status: 503, detail: NO_INSTANCE_DETAIL },
  NO_CATALOG: { status: 503, detail: NO_INSTANCE_DETAIL },
  ALL_EJECTED: { status: 503, detail: NO_INSTANCE_DETAIL },
  OVERLOADED: { status: 503, detail: 'A service that is needed for the answer has more to do than it can.' },
  BULKHEAD_FULL: { status: 503, detail: 'Too much is asked of a service that is needed for the answer.' },
  CLOSED: { status: 503, detail: 'This process is shutting down.' },
  NO_ENDPOINT: {
    status: 502,
    detail: 'A service that is needed for the answer does not speak the protocol it was asked in.',
  },
  TRANSPORT: { status: 502, detail: 'The connection to a service that is needed for the answer failed.' },
  REMOTE: { status: 502, detail: REFUSED },
  DEADLINE_EXCEEDED: { status: 504, detail: 'A service that is needed for the answer took too long.' },
  CANCELLED: { status: 499, detail: 'The request was given up.' },
};

/** Codes after which a retry, a moment later, may succeed. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'NO_INSTANCE',
  'NO_CATALOG',
  'ALL_EJECTED',
  'OVERLOADED',
  'BULKHEAD_FULL',
  'CLOSED',
]);
const RETRY_AFTER_S = '1';

/**
 * Codes that mean that this process cannot, while another may. With the others the called service failed, for any
 * caller.
 */
const OWN: ReadonlySet<ErrorCode> = new Set(['NO_CATALOG', 'BULKHEAD_FULL', 'CLOSED']);

/** The HTTP answer to a `RollcallError`: RFC 9457. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: ErrorCode;
  readonly status: number;
  readonly code: ErrorCode;
  /**
   * One printable line, without names of services and addresses, except for what a service wrote itself when it
   * refused.
   */
  readonly detail: string;
}

/**
 * The answer to an HTTP caller, for a filter of your own. If a service refused with a status of 4xx (REMOTE), the
 * answer has its status and its text; if it refused otherwise, 502 and its text, if that is meant for others. See
 * docs/ERRORS.md.
 */
export function problemDocument(error: RollcallError): ProblemDocument {
  const { code } = error;
  const { status, detail } = code === 'REMOTE' ? refused(error.cause) : (TRANSLATIONS[code] ?? FAILED);
  return { type: `urn:rollcall:problem:${code}`, title: code, status, code, detail };
}

function refused(cause: unknown): Translation {
  const { status, text } = reasonOf(cause);
  if (status !== null) return { status, detail: text ?? REFUSED };
  const deeper = remoteCodeOf(cause);
  const detail = (deeper === null ? undefined : TRANSLATIONS[deeper]?.detail) ?? REFUSED;
  return { status: 502, detail: text === null ? detail : `${REFUSED.slice(0, -1)}: ${text}` };
}

/** Recognises the errors of any copy of the package, since Nest uses `instanceof`. */
class AnyRollcallError extends RollcallError {
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isRollcallError(error);
  }
}

/**
 * Answers a `RollcallError` that no other filter caught. Over HTTP: a problem document with the status of its code, and
 * `Retry-After` if waiting helps; in a microservice's handler: an object with the code. The full message of the error
 * is logged.
 */
@Catch(AnyRollcallError)
export class RollcallExceptionFilter implements ExceptionFilter<RollcallError> {
  readonly #http: HttpAdapterHost;
  readonly #log: Log;

  constructor(http: HttpAdapterHost, log: Log) {
    this.#http = http;
    this.#log = log;
  }

  catch(error: RollcallError, host: ArgumentsHost): unknown {
    const text = `${error.code}: ${error.message}`;
    if (isCallersFault(error)) this.#log.debug(text);
    else this.#log.warn(text);
    if (host.getType() === 'http') return this.#answer(problemDocument(error), host.switchToHttp().getResponse());
    if (host.getType() === 'rpc') return throwError(() => remoteError(error));
    return error; // as GraphQL's own filters do
  }

  #answer(problem: ProblemDocument, response: unknown): void {
    const adapter = this.#http.httpAdapter;
    if (adapter.isHeadersSent(response)) return cutOff(response);
    const { status, code } = problem;
    adapter.setHeader(response, 'content-type', 'application/problem+json');
    adapter.setHeader(response, 'cache-control', 'no-store');
    if (PASSING.has(code)) adapter.setHeader(response, 'retry-after', RETRY_AFTER_S);
    if (!OWN.has(code)) adapter.setHeader(response, ERROR_KEY, code);
    adapter.reply(response, JSON.stringify(problem), status);
  }
}

/**
 * True for errors that are not failures: a service refused the request with a status of 4xx, or the caller no longer
 * waits.
 */
function isCallersFault({ code, cause }: RollcallError): boolean {
  return code === 'CANCELLED' || (code === 'REMOTE' && reasonOf(cause).status !== null);
}

/**
 * Puts the filter first in the list of the application, and so last in turn, since Nest asks them from the end. Filters
 * under `APP_FILTER` are added in the order of modules, so that ours would precede those of the root module. Call it
 * while providers are created, before Nest adds those. Returns false if this version of Nest keeps its list elsewhere.
 */
export function placeLast(filter: ExceptionFilter, module: ModuleRef): boolean {
  const container: unknown = Reflect.get(module, 'container');
  const config: unknown =
    typeof container === 'object' && container !== null ? Reflect.get(container, 'applicationConfig') : undefined;
  if (!isApplicationConfig(config)) return false;
  config.addGlobalFilter(filter);
  return true;
}

function isApplicationConfig(config: unknown): config is Pick<ApplicationConfig, 'addGlobalFilter'> {
  return (
    typeof config === 'object' &&
    config !== null &&
    'addGlobalFilter' in config &&
    typeof config.addGlobalFilter === 'function'
  );
}

/** Cuts off an answer that has begun, so that the caller does not take it for complete. */
function cutOff(response: unknown): void {
  const raw: unknown = typeof response === 'object' && response !== null && 'raw' in response ? response.raw : response;
  if (raw instanceof ServerResponse) raw.destroy();
}

/** An error class that is never thrown. */
class NeverThrown extends Error {}

/** Takes the place under `APP_FILTER` if the filter is disabled, or is installed already. */
@Catch(NeverThrown)
export class NoExceptionFilter implements ExceptionFilter {
  catch(error: unknown): unknown {
    return error;
  }
}
