import { Logger } from '@nestjs/common';
import type { Rollcall } from '@rollcall/client';
import {
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy as WhenTooLate,
  wrap,
} from 'cockatiel';
import { Bulkhead, Circuit, Retry, RetryMode, SlidingCountBreaker, Timeout } from 'mollitia';
import {
  BulkheadStrategy,
  CircuitBreakerStrategy,
  ResilienceCommand,
  RetryStrategy,
  TimeoutStrategy,
} from 'nestjs-resilience';
import CircuitBreaker from 'opossum';
import { SERVICE } from './stack-caller.js';

type Ask = () => Promise<unknown>;

/** A way to make one call. */
export interface Candidate {
  readonly name: string;
  call: Ask;
  close(): void;
}

// All of them get the same: 5 failures or half of the calls trip the breaker, 2 s timeout, two retries, 1,024
// concurrent calls, no queue. None of them balances, nor counts; ours does both.

const PATIENCE_MS = 2_000;
const RETRIES = 2;
const MOST = 1_024;
const OPEN_MS = 1_000;

export const bare = (ask: Ask): Candidate => ({ name: 'no library', call: ask, close() {} });

export function ours(name: string, rollcall: Rollcall): Candidate {
  return { name, call: () => rollcall.call(SERVICE, 'find', null), close: () => void rollcall.close() };
}

export function cockatiel(ask: Ask): Candidate {
  const policy = wrap(
    bulkhead(MOST, 0),
    retry(handleAll, { maxAttempts: RETRIES, backoff: new ExponentialBackoff({ initialDelay: 25, maxDelay: 250 }) }),
    circuitBreaker(handleAll, { halfOpenAfter: OPEN_MS, breaker: new ConsecutiveBreaker(5) }),
    timeout(PATIENCE_MS, WhenTooLate.Aggressive),
  );
  return { name: 'cockatiel', call: () => policy.execute(ask), close() {} };
}

/** It has no retry: one feature less than the others. */
export function opossum(ask: Ask): Candidate {
  const breaker = new CircuitBreaker(ask, {
    timeout: PATIENCE_MS,
    capacity: MOST,
    errorThresholdPercentage: 50,
    volumeThreshold: 10,
    rollingCountTimeout: 10_000,
    resetTimeout: OPEN_MS,
  });
  return { name: 'opossum', call: () => breaker.fire(), close: () => breaker.shutdown() };
}

export function mollitia(ask: Ask): Candidate {
  const circuit = new Circuit({
    func: ask,
    options: {
      modules: [
        new Bulkhead({ concurrentSize: MOST, queueSize: 0 }),
        new Retry({ attempts: RETRIES, interval: 25, mode: RetryMode.EXPONENTIAL, maxInterval: 250 }),
        new SlidingCountBreaker({ openStateDelay: OPEN_MS }),
        new Timeout({ delay: PATIENCE_MS }),
      ],
    },
  });
  return { name: 'mollitia', call: () => circuit.execute(), close: () => circuit.dispose() };
}

export function nestjsResilience(ask: Ask): Candidate {
  // it logs every success
  Logger.overrideLogger(false);
  class Find extends ResilienceCommand {
    override run(): Promise<unknown> {
      return ask();
    }
  }
  // the first is the innermost
  const command = new Find([
    new TimeoutStrategy(PATIENCE_MS),
    new CircuitBreakerStrategy({ sleepWindowInMilliseconds: OPEN_MS }),
    new RetryStrategy({ maxRetries: RETRIES, maxDelay: 250 }),
    new BulkheadStrategy({ maxConcurrent: MOST, maxQueue: 0 }),
  ]);
  return { name: 'nestjs-resilience', call: () => command.execute(), close() {} };
}
