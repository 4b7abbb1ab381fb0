import type { InstanceId, Protocol, Time } from '@rollcall/core';
import { failed, STOPPED } from './transport.js';
import type { Channel, Exchange, FailureKind, Sink, Target, Terms, Transport } from './transport.js';

/** The reaction of an instance to a request: it answers after a while, fails after a while, or never answers. */
export type Plan =
  | { readonly afterMs: number; readonly values: readonly unknown[] }
  | { readonly afterMs: number; readonly failure: FailureKind; readonly retryAfterMs?: number }
  | 'never';

/** One attempt, as received by an instance. */
export interface Seen<Request> {
  readonly instance: InstanceId;
  readonly request: Request;
  readonly terms: Terms;
  readonly at: number;
}

/** A transport without sockets: each instance follows the script, on the given clock. */
export class ScriptedTransport<Request> implements Transport<Request> {
  readonly protocol: Protocol;
  readonly seen: Seen<Request>[] = [];
  readonly retired: InstanceId[] = [];
  pings = 0;
  cancelled = 0;
  script: (instance: InstanceId, request: Request | null) => Plan;
  readonly #time: Time;
  #isClosed = false;

  constructor(protocol: Protocol, time: Time) {
    this.protocol = protocol;
    this.#time = time;
    this.script = (instance) => ({ afterMs: 1, values: [instance] });
  }

  prepare(): null {
    return null;
  }

  channel(target: Target): Channel<Request> {
    const { id } = target.instance;
    return {
      send: (request, terms, sink) => {
        this.seen.push({
          instance: id,
          request,
          terms: { remainingMs: terms.remainingMs, attempt: terms.attempt },
          at: this.#time.now(),
        });
        return this.#run(this.script(id, request), sink);
      },
      ping: (_terms, sink) => {
        this.pings += 1;
        return this.#run(this.script(id, null), sink);
      },
      retire: () => void this.retired.push(id),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #run(plan: Plan, sink: Sink): Exchange {
    if (this.#isClosed) return failed(STOPPED, sink);
    const timer = plan === 'never' ? null : this.#time.setTimer(plan.afterMs, () => play(plan, sink));
    return {
      openedAt: null,
      cancel: () => {
        this.cancelled += 1;
        timer?.cancel();
      },
    };
  }
}

function play(plan: Exclude<Plan, 'never'>, sink: Sink): void {
  if ('failure' in plan) {
    const { failure: kind, retryAfterMs } = plan;
    const cause = new Error(`scripted: ${kind}`);
    return sink.fail(retryAfterMs === undefined ? { kind, cause } : { kind, cause, retryAfterMs });
  }
  for (const value of plan.values.slice(0, -1)) sink.next(value);
  if (plan.values.length === 0) sink.complete();
  else sink.last(plan.values.at(-1));
}
