import { ServerResponse } from 'node:http';
import { Catch } from '@nestjs/common';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { ERROR_KEY, isRollcallError, RollcallError } from '@rollcall/core';
import type { ErrorCode, Log } from '@rollcall/core';
import { throwError } from 'rxjs';
import { remoteError } from './remote-error.js';

interface Translation {
  readonly status: number;
  /** For whoever asked: what an outsider may know. The error's own sentence names services and addresses; it is logged. */
  readonly detail: string;
}

const FAILED: Translation = { status: 500, detail: 'Something failed here.' };
const NOBODY = 'A service that is needed for the answer has nobody who could take the call now.';

/** How a failed call to another service is told over HTTP. What is not here is a fault of this process. */
const TRANSLATIONS: Readonly<Partial<Record<ErrorCode, Translation>>> = {
  NO_INSTANCE: { status: 503, detail: NOBODY },
  UNKNOWN_SERVICE: { status: 503, detail: NOBODY },
  NO_CATALOG: { status: 503, detail: NOBODY },
  ALL_EJECTED: { status: 503, detail: NOBODY },
  OVERLOADED: { status: 503, detail: 'A service that is needed for the answer has more to do than it can.' },
  BULKHEAD_FULL: { status: 503, detail: 'Too much is asked of a service that is needed for the answer.' },
  CLOSED: { status: 503, detail: 'This process is shutting down.' },
  NO_ENDPOINT: {
    status: 502,
    detail: 'A service that is needed for the answer does not speak the protocol it was asked in.',
  },
  TRANSPORT: { status: 502, detail: 'The connection to a service that is needed for the answer failed.' },
  REMOTE: { status: 502, detail: 'A service that is needed for the answer refused.' },
  DEADLINE_EXCEEDED: { status: 504, detail: 'A service that is needed for the answer took too long.' },
  CANCELLED: { status: 499, detail: 'The request was given up.' },
};

/** Codes that another try, after a moment, may find gone. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'NO_INSTANCE',
  'NO_CATALOG',
  'ALL_EJECTED',
  'OVERLOADED',
  'BULKHEAD_FULL',
  'CLOSED',
]);
const RETRY_AFTER_S = '1';

/** It is this process that cannot: another one may. The others say that what was called failed, whoever calls it. */
const OWN: ReadonlySet<ErrorCode> = new Set(['NO_CATALOG', 'BULKHEAD_FULL', 'CLOSED']);

/** Recognises the errors of any copy of the package: Nest asks with `instanceof`. */
class AnyRollcallError extends RollcallError {
  static override [Symbol.hasInstance](error: unknown): boolean {
    return isRollcallError(error);
  }
}

/**
 * Answers for a `RollcallError` that nobody caught. Over HTTP a problem document with the status of its code, and `Retry-After` where
 * waiting helps; in a microservice's handler an object with the code. What the error says in full is logged.
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
    this.#log.warn(`${error.code}: ${error.message}`);
    if (host.getType() === 'http') return this.#answer(error.code, host.switchToHttp().getResponse());
    if (host.getType() === 'rpc') return throwError(() => remoteError(error.code, error.message, error.retryable));
    return error; // as GraphQL's own filters do
  }

  #answer(code: ErrorCode, response: unknown): void {
    const adapter = this.#http.httpAdapter;
    if (adapter.isHeadersSent(response)) return cutOff(response);
    const { status, detail } = TRANSLATIONS[code] ?? FAILED;
    adapter.setHeader(response, 'content-type', 'application/problem+json');
    adapter.setHeader(response, 'cache-control', 'no-store');
    if (PASSING.has(code)) adapter.setHeader(response, 'retry-after', RETRY_AFTER_S);
    if (!OWN.has(code)) adapter.setHeader(response, ERROR_KEY, code);
    const type = `urn:rollcall:problem:${code}`;
    adapter.reply(response, JSON.stringify({ type, title: code, status, code, detail }), status);
  }
}

/** What is under way breaks off, so that nobody takes it for whole. */
function cutOff(response: unknown): void {
  const raw: unknown = typeof response === 'object' && response !== null && 'raw' in response ? response.raw : response;
  if (raw instanceof ServerResponse) raw.destroy();
}

/** Nobody throws one. */
class Unthrown extends Error {}

/** Stands where the filter was not wanted. */
@Catch(Unthrown)
export class NoExceptionFilter implements ExceptionFilter {
  catch(error: unknown): unknown {
    return error;
  }
}
