import { getEventListeners } from 'node:events';
import type { RollcallError, State } from '@rollcall/core';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../transport/scripted.fixture.js';
import { TRAITS } from '../transport/transport.js';
import type { FailureKind } from '../transport/transport.js';
import { CallWorld, fleet } from './calls.fixture.js';
import type { OneCall } from './calls.js';

// Properties of every call, over random histories of outcomes, updates, cancels, hedges and closes.

const KINDS: readonly FailureKind[] = [
  'refused',
  'unreachable',
  'misdirected',
  'unsent',
  'congested',
  'closed',
  'garbled',
  'overloaded',
  'unavailable',
  'remote',
];
type ValueOf<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;

/** `failures` is the weight of failures; a success has the weight 4. */
const planOf = (kinds: readonly FailureKind[], failures: number): fc.Arbitrary<Plan> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ afterMs: fc.nat(400), values: fc.array(fc.nat(), { maxLength: 3 }) }) },
    { weight: failures, arbitrary: fc.record({ afterMs: fc.nat(400), failure: fc.constantFrom(...kinds) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        afterMs: fc.nat(50),
        failure: fc.constant('overloaded' as const),
        retryAfterMs: fc.nat(800),
      }),
    },
    { weight: 1, arbitrary: fc.constant<Plan>('never') },
  );
const state = fc.constantFrom<State>('HEALTHY', 'HEALTHY', 'REGISTERING', 'UNHEALTHY', 'CRITICAL', 'DEREGISTERING');
const callOptions = fc.record({
  deadlineMs: fc.integer({ min: 1, max: 900 }),
  idempotent: fc.boolean(),
  isRetry: fc.boolean(),
  hedge: fc.oneof(fc.boolean(), fc.record({ afterMs: fc.integer({ min: 1, max: 200 }) })),
});
const stepOf = (given: typeof callOptions) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('call' as const, 'stream' as const), options: given }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(300) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('update' as const), states: fc.array(state, { maxLength: 5 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), index: fc.nat(20) }) },
  );
interface ScriptOptions {
  readonly kinds?: readonly FailureKind[];
  readonly failures?: number;
  readonly options?: typeof callOptions;
  readonly size?: 'small' | 'large';
}
const scripts = ({ kinds = KINDS, failures = 2, options: given = callOptions, size = 'small' }: ScriptOptions = {}) =>
  fc.record({
    plans: fc.array(planOf(kinds, failures), { minLength: 5, maxLength: 40 }),
    steps: fc.array(stepOf(given), size === 'small' ? { maxLength: 40 } : { minLength: 60, maxLength: 120 }),
    seed: fc.integer(),
    closesAt: fc.option(fc.nat(40)),
  });
type Options = ValueOf<typeof callOptions>;
type Script = ValueOf<ReturnType<typeof scripts>>;

/** One call of a script, and its outcomes. */
interface Made {
  readonly options: Options;
  readonly controller: AbortController;
  readonly outcomes: ('complete' | RollcallError)[];
  lateMs: number;
}

class Run extends CallWorld {
  readonly meter;
  readonly made: Made[] = [];

  constructor(script: Script, options: object = {}) {
    const meter = memoryMeter();
    const time = new ManualTime({ nowMs: 50_000 });
    super({
      time,
      random: seededRandom(script.seed),
      meter,
      log: recordingLog(),
      options: { hedgeRatio: 1, ...options },
    });
    this.meter = meter;
    let next = 0;
    this.tcp.script = () => script.plans[(next += 1) % script.plans.length] ?? 'never';
  }

  async runScript({ steps, closesAt }: Script): Promise<void> {
    for (const [at, one] of steps.entries()) {
      if (at === closesAt) await this.calls.close();
      if (one.do === 'call') this.#call(one.options);
      if (one.do === 'stream') this.#stream(one.options);
      if (one.do === 'wait') await this.time.advanceBy(one.ms);
      if (one.do === 'update') this.view.become(fleet(...one.states));
      if (one.do === 'cancel') this.made[one.index]?.controller.abort();
    }
    await this.time.advanceBy(1_000);
  }

  /** The numbers of the attempts of one call, as the instances received them. */
  attemptsOf(made: Made): readonly number[] {
    const data = JSON.stringify({ n: this.made.indexOf(made) });
    return this.tcp.seen.filter(({ request }) => request.dataJson === data).map(({ terms }) => terms.attempt);
  }

  #begin(given: Options): [Made, OneCall] {
    const controller = new AbortController();
    const made: Made = { options: given, controller, outcomes: [], lateMs: -Infinity };
    this.made.push(made);
    return [made, { ...given, signal: controller.signal }];
  }

  #settled(made: Made, startedAt: number, outcome: 'complete' | RollcallError): void {
    made.outcomes.push(outcome);
    made.lateMs = this.time.now() - startedAt - made.options.deadlineMs;
  }

  #call(given: Options): void {
    const [made, options] = this.#begin(given);
    const startedAt = this.time.now();
    const n = this.made.length - 1;
    this.calls.call('orders', `m${n % 3}`, { n }, options).then(
      () => this.#settled(made, startedAt, 'complete'),
      (error: RollcallError) => this.#settled(made, startedAt, error),
    );
  }

  #stream(given: Options): void {
    const [made, options] = this.#begin(given);
    const startedAt = this.time.now();
    const n = this.made.length - 1;
    const observer = {
      next() {},
      complete: () => this.#settled(made, startedAt, 'complete'),
      error: (error: RollcallError) => this.#settled(made, startedAt, error),
    };
    this.calls.stream('orders', `m${n % 3}`, { n }, observer, { ...options, idleMs: 50 });
  }
}

const UNEXECUTED: ReadonlySet<string> = new Set(KINDS.filter((kind) => TRAITS[kind].executed === 'no'));

describe('calls under any sequence of events', () => {
  it('settle once, by their deadline, within the allowed attempts', async () => {
    await fc.assert(
      fc.asyncProperty(scripts(), async (script) => {
        const run = new Run(script);
        await run.runScript(script);
        for (const { outcomes, lateMs } of run.made) {
          expect(outcomes).toHaveLength(1);
          // a tick, and for a stream the allowed time between its values
          expect(lateMs).toBeLessThanOrEqual(20 + 3 * 60);
        }
        for (const { outcomes } of run.made) {
          const [outcome] = outcomes;
          if (outcome === 'complete' || outcome === undefined) continue;
          // requests that were certainly not executed cause no load: only the deadline limits their attempts
          const loading = outcome.attempts.filter((attempt) => !UNEXECUTED.has(attempt.outcome));
          expect(loading.length).toBeLessThanOrEqual(3);
        }
        await run.calls.close();
      }),
      { numRuns: 100 },
    );
  });

  it('leave no timer, no deadline, no listener and no call under way', async () => {
    await fc.assert(
      fc.asyncProperty(scripts(), async (script) => {
        const run = new Run(script);
        await run.runScript(script);
        for (const { controller } of run.made) expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
        const seen = run.calls.explain('orders');
        expect(seen.callsUnderWay).toBe(0);
        for (const { callsUnderWay } of seen.protocols.flatMap((one) => one.instances)) expect(callsUnderWay).toBe(0);
        await run.time.advanceBy(2_020); // a ping may have been under way
        expect(run.time.nextAt()).toBeNull();
        await run.calls.close();
      }),
      { numRuns: 100 },
    );
  });

  it('are repeated and hedged within the budget', async () => {
    // attempts that were certainly not executed cost no budget and are left out
    const kinds = KINDS.filter((kind) => TRAITS[kind].executed !== 'no');
    const hedged = fc.record({
      deadlineMs: fc.integer({ min: 300, max: 900 }),
      idempotent: fc.constant(true),
      isRetry: fc.constant(false),
      hedge: fc.record({ afterMs: fc.integer({ min: 1, max: 50 }) }),
    });
    await fc.assert(
      fc.asyncProperty(scripts({ kinds, options: hedged, size: 'large' }), async (script) => {
        const startedAt = 50_000;
        const run = new Run(script, { retryRatio: 0.1, retriesPerSecond: 0.2, attemptTimeoutMs: 150 });
        await run.runScript(script);
        const extra = run.tcp.seen.length - new Set(run.tcp.seen.map(({ request }) => request.dataJson)).size;
        const windows = 1 + Math.ceil((run.time.now() - startedAt) / 10_000);
        expect(extra).toBeLessThanOrEqual(0.1 * run.made.length * windows + 2 * windows);
        const counted = run.meter.count('rollcall_call_retries_total') + run.meter.count('rollcall_call_hedges_total');
        expect(counted).toBe(extra);
        await run.calls.close();
      }),
      { numRuns: 50 },
    );
  });

  it('are not retried if they are part of a retry, except once if they were certainly not executed', async () => {
    const unsent = KINDS.filter((kind) => TRAITS[kind].executed === 'no');
    await fc.assert(
      fc.asyncProperty(scripts({ kinds: unsent, failures: 12 }), async (script) => {
        const run = new Run(script);
        await run.runScript(script);
        for (const made of run.made) {
          const attempts = run.attemptsOf(made);
          if (!made.options.isRetry) continue;
          expect(attempts.length).toBeLessThanOrEqual(2);
          // the called instance sees that it is a retry
          for (const attempt of attempts) expect(attempt).toBeGreaterThan(1);
        }
        await run.calls.close();
      }),
      { numRuns: 100 },
    );
  });
});
