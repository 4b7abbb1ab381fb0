import type { RollcallPorts } from '@rollcall/client';
import { failed, STOPPED } from '@rollcall/client/testing';
import type { Channel, Exchange, Failure, Sink, Target, Terms, Transport } from '@rollcall/client/testing';
import type { Instance, Protocol, Time, Timer } from '@rollcall/core';
import { isObservable } from 'rxjs';
import type { Subscription } from 'rxjs';

/**
 * A fault of a fake instance. `delay`: it answers that much later. `error`: its handlers throw this instead of
 * answering. `refuse`: nothing listens at its address. `drop`: the connection breaks after the request was written, so
 * the caller cannot know whether it was executed (it was not). `hang`: it never answers. `times`: the fault applies to
 * this many calls; default: until `heal`.
 */
export type Fault =
  | { readonly kind: 'delay'; readonly ms: number; readonly times?: number }
  | { readonly kind: 'error'; readonly error: unknown; readonly times?: number }
  | { readonly kind: 'refuse' | 'drop' | 'hang'; readonly times?: number };

/** One request to an instance, ready to be handled. */
export interface Served {
  /** An event is complete once it is written. */
  readonly isEvent: boolean;
  /** Runs the handler. */
  answer(): unknown;
  /** Converts a value of the handler into what its transport delivers to the caller. */
  valueOf(value: unknown): unknown;
  /** The report of an answer about the instance, if it is not the requested answer; null if it is. */
  refusalOf(value: unknown): Failure | null;
  /** Converts what the handler threw into the error of the caller. */
  failureOf(error: unknown): Failure;
}

/** The directory of the instances of a test. */
export interface InstanceDirectory<Request> {
  readonly time: Time;
  /** The fault of the next request to it; `absent`: there is no such instance; null: none. */
  faultOf(instance: Instance): Fault | 'absent' | null;
  serve(instance: Instance, request: Request, terms: Terms): Served;
}

export type FakeTransports = NonNullable<RollcallPorts['transports']>;

/** A transport to instances that are objects in this process: no socket, and no timer except for a delay. */
export class FakeTransport<Request> implements Transport<Request> {
  readonly protocol: Protocol;
  readonly #directory: InstanceDirectory<Request>;
  #isClosed = false;

  constructor(protocol: Protocol, directory: InstanceDirectory<Request>) {
    this.protocol = protocol;
    this.#directory = directory;
  }

  prepare(): null {
    return null;
  }

  channel({ instance }: Target): Channel<Request> {
    return {
      send: (request, terms, sink) => this.#send(instance, sink, () => this.#directory.serve(instance, request, terms)),
      ping: (_terms, sink) => this.#send(instance, sink, () => PONG),
      retire: () => {},
    };
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return Promise.resolve();
  }

  #send(instance: Instance, sink: Sink, serve: () => Served): Exchange {
    if (this.#isClosed) return failed(STOPPED, sink);
    const fault = this.#directory.faultOf(instance);
    if (fault === 'absent' || fault?.kind === 'refuse') return failed(refused(instance), sink);
    if (fault?.kind === 'drop') return failed(DROPPED, sink);
    const exchange = new FakeExchange(sink);
    if (fault?.kind === 'hang') return exchange;
    const served = serve();
    const work = (): void => exchange.run(fault?.kind === 'error' ? throwing(served, fault.error) : served);
    if (fault?.kind === 'delay') exchange.timer = this.#directory.time.setTimer(fault.ms, work);
    else void Promise.resolve().then(work);
    return exchange;
  }
}

const PONG: Served = {
  isEvent: false,
  answer: () => null,
  valueOf: (value) => value,
  refusalOf: () => null,
  failureOf: (cause) => ({ kind: 'remote', cause }),
};

const DROPPED: Failure = { kind: 'closed', cause: new Error('Connection closed (the test dropped it)') };

function refused({ id }: Instance): Failure {
  const cause = Object.assign(new Error(`connect ECONNREFUSED (${id} of this test)`), { code: 'ECONNREFUSED' });
  return { kind: 'refused', cause };
}

function throwing(served: Served, error: unknown): Served {
  return {
    ...served,
    answer: () => {
      throw error;
    },
  };
}

/** One request in flight. */
class FakeExchange implements Exchange {
  readonly openedAt = null;
  timer: Timer | null = null;
  readonly #sink: Sink;
  #subscription: Subscription | null = null;
  #isOver = false;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  cancel(): void {
    this.#isOver = true;
    this.timer?.cancel();
    this.#subscription?.unsubscribe();
  }

  run(served: Served): void {
    if (this.#isOver) return;
    if (served.isEvent) this.#end(() => this.#sink.complete());
    void this.#answer(served);
  }

  async #answer(served: Served): Promise<void> {
    try {
      const answer = await served.answer();
      if (isObservable(answer)) return this.#stream(answer, served);
      const value = await served.valueOf(answer);
      const refusal = served.refusalOf(value);
      this.#end(() => (refusal === null ? this.#sink.last(value) : this.#sink.fail(refusal)));
    } catch (error) {
      this.#end(() => this.#sink.fail(served.failureOf(error)));
    }
  }

  #stream(answer: { subscribe: (observer: StreamEnd) => Subscription }, served: Served): void {
    if (this.#isOver) return;
    const subscription = answer.subscribe({
      next: (value) => {
        if (!this.#isOver) this.#sink.next(served.valueOf(value));
      },
      error: (error) => this.#end(() => this.#sink.fail(served.failureOf(error))),
      complete: () => this.#end(() => this.#sink.complete()),
    });
    this.#subscription = subscription;
    if (this.#isOver) subscription.unsubscribe();
  }

  /** Ends the request, once. */
  #end(report: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    report();
  }
}

interface StreamEnd {
  next(value: unknown): void;
  error(error: unknown): void;
  complete(): void;
}
