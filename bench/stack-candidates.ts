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
  TimeoutStrategy as CockatielTimeoutStrategy,
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

type CallFunction = () => Promise<unknown>;

/** A way to make one call. */
export interface Candidate {
  readonly name: string;
  call: CallFunction;
  close(): void;
}

// All of them get the same: 5 failures or half of the calls trip the breaker, 2 s timeout, two retries, 1,024
// concurrent calls, no queue. None of them balances, nor counts; ours does both.

const TIMEOUT_MS = 2_000;
const RETRIES = 2;
const MAX_CONCURRENT = 1_024;
const OPEN_MS = 1_000;

export const bare = (makeCall: CallFunction): Candidate => ({ name: 'no library', call: makeCall, close() {} });

export function ours(name: string, rollcall: Rollcall): Candidate {
  return { name, call: () => rollcall.call(SERVICE, 'find', null), close: () => void rollcall.close() };
}

export function cockatiel(makeCall: CallFunction): Candidate {
  const policy = wrap(
    bulkhead(MAX_CONCURRENT, 0),
    retry(handleAll, { maxAttempts: RETRIES, backoff: new ExponentialBackoff({ initialDelay: 25, maxDelay: 250 }) }),
    circuitBreaker(handleAll, { halfOpenAfter: OPEN_MS, breaker: new ConsecutiveBreaker(5) }),
    timeout(TIMEOUT_MS, CockatielTimeoutStrategy.Aggressive),
  );
  return { name: 'cockatiel', call: () => policy.execute(makeCall), close() {} };
}

/** It has no retry: one feature less than the others. */
export function opossum(makeCall: CallFunction): Candidate {
  const breaker = new CircuitBreaker(makeCall, {
    timeout: TIMEOUT_MS,
    capacity: MAX_CONCURRENT,
    errorThresholdPercentage: 50,
    volumeThreshold: 10,
    rollingCountTimeout: 10_000,
    resetTimeout: OPEN_MS,
  });
  return { name: 'opossum', call: () => breaker.fire(), close: () => breaker.shutdown() };
}

export function mollitia(makeCall: CallFunction): Candidate {
  const circuit = new Circuit({
    func: makeCall,
    options: {
      modules: [
        new Bulkhead({ concurrentSize: MAX_CONCURRENT, queueSize: 0 }),
        new Retry({ attempts: RETRIES, interval: 25, mode: RetryMode.EXPONENTIAL, maxInterval: 250 }),
        new SlidingCountBreaker({ openStateDelay: OPEN_MS }),
        new Timeout({ delay: TIMEOUT_MS }),
      ],
    },
  });
  return { name: 'mollitia', call: () => circuit.execute(), close: () => circuit.dispose() };
}

export function nestjsResilience(makeCall: CallFunction): Candidate {
  // it logs every success
  Logger.overrideLogger(false);
  class Find extends ResilienceCommand {
    override run(): Promise<unknown> {
      return makeCall();
    }
  }
  // the first is the innermost
  const command = new Find([
    new TimeoutStrategy(TIMEOUT_MS),
    new CircuitBreakerStrategy({ sleepWindowInMilliseconds: OPEN_MS }),
    new RetryStrategy({ maxRetries: RETRIES, maxDelay: 250 }),
    new BulkheadStrategy({ maxConcurrent: MAX_CONCURRENT, maxQueue: 0 }),
  ]);
  return { name: 'nestjs-resilience', call: () => command.execute(), close() {} };
}
