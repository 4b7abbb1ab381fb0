import type { Instance, Log, Meter, Random, RollcallError, State, Time } from '@rollcall/core';
import { parseOptions } from '@rollcall/core';
import type { CallerLocality } from '../balance/caller-locality.js';
import type { ServiceView } from '../discovery/catalog.js';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import type { HttpRequest } from '../transport/http/message.js';
import { ScriptedTransport } from '../transport/scripted.fixture.js';
import type { Plan } from '../transport/scripted.fixture.js';
import type { TcpRequest } from '../transport/tcp/message.js';
import { Calls } from './calls.js';
import type { CallsParts, OneCall } from './calls.js';
import { callFields } from './policy/service-options.js';

/** A view of the service `orders` that a test can change. */
export class FakeView implements ServiceView {
  readonly service = 'orders';
  status: ServiceView['status'] = 'known';
  instances: readonly Instance[];
  changedAt = 0;
  statusAt = 0;
  answers = 0;
  answeredAt = -Infinity;
  isWatched = true;
  confirmedAt = 0;
  stale = false;
  listeners: (() => void)[] = [];

  constructor(instances: readonly Instance[]) {
    this.instances = instances;
  }

  onChange(listener: () => void): () => void {
    this.listeners.push(listener);
    return () => void (this.listeners = this.listeners.filter((other) => other !== listener));
  }

  become(instances: readonly Instance[], status: ServiceView['status'] = 'known'): void {
    this.instances = instances;
    this.status = status;
    for (const listener of this.listeners) listener();
  }
}

/** Instances `a`, `b`, … in the given states. */
export function fleet(...states: State[]): Instance[] {
  return states.map((state, i) => createInstance({ id: 'abcdefgh'.charAt(i), state }));
}

/** A clock that a test advances; pending promises settle at each step. */
export interface SteppedTime extends Time {
  advanceBy(ms: number): Promise<void>;
  nextAt(): number | null;
}

export interface WorldSetting {
  readonly time: SteppedTime;
  readonly random: Random;
  readonly meter: Meter;
  readonly log: Log;
  readonly instances?: readonly Instance[];
  readonly options?: object;
  readonly names?: readonly string[];
  readonly inherited?: NonNullable<CallsParts['inherited']>;
  readonly locality?: CallerLocality;
  readonly tracer?: NonNullable<CallsParts['tracer']>;
}

export interface Ending {
  value?: unknown;
  error?: RollcallError;
  tookMs?: number;
}

/** Calls to the service `orders`, whose instances follow a script, without sockets. */
export class CallWorld {
  readonly time: SteppedTime;
  readonly tcp: ScriptedTransport<TcpRequest>;
  readonly http: ScriptedTransport<HttpRequest>;
  readonly suspects: string[] = [];
  readonly view: FakeView;
  readonly calls: Calls;

  constructor(setting: WorldSetting) {
    this.time = setting.time;
    this.tcp = new ScriptedTransport('tcp', this.time);
    this.http = new ScriptedTransport('http', this.time);
    this.view = new FakeView(setting.instances ?? fleet('HEALTHY', 'HEALTHY', 'HEALTHY'));
    this.calls = new Calls({
      time: this.time,
      random: setting.random,
      meter: setting.meter,
      log: setting.log,
      services: {
        service: () => this.view,
        settle: (view, timeoutMs) =>
          new Promise((resolve) => {
            const done = (): void => {
              timer.cancel();
              stop();
              resolve();
            };
            const timer = this.time.setTimer(timeoutMs, done);
            const stop = view.onChange(done);
          }),
        names: () => setting.names ?? [],
      },
      options: parseOptions(callFields, setting.options),
      transports: { tcp: this.tcp, http: this.http },
      suspect: (id, outcome) => this.suspects.push(`${id} ${outcome}`),
      ...(setting.locality === undefined ? {} : { locality: setting.locality }),
      ...(setting.tracer === undefined ? {} : { tracer: setting.tracer }),
      ...(setting.inherited === undefined ? {} : { inherited: setting.inherited }),
    });
  }

  /** Sets the behaviour of each instance; the others answer with their name after 1 ms. */
  play(plans: Readonly<Record<string, Plan>>): this {
    this.tcp.script = (id) => plans[id] ?? { afterMs: 1, values: [id] };
    return this;
  }

  /** Calls, lets `ms` pass, and returns how it ended. */
  async ask(options?: OneCall, ms = 6_000): Promise<Ending> {
    const startedAt = this.time.now();
    let end: Ending = {};
    this.calls.call('orders', 'find', { id: 7 }, options).then(
      (value) => (end = { value, tookMs: this.time.now() - startedAt }),
      (error) => (end = { error, tookMs: this.time.now() - startedAt }),
    );
    await this.time.advanceBy(ms);
    return end;
  }

  /** Fills the statistics with typical latencies: `count` calls of 1 ms each. */
  async warmUp(count = 60): Promise<void> {
    for (let i = 0; i < count; i += 1) await this.ask(undefined, 2);
  }

  /** The instances that were called, in order. */
  get calledHosts(): readonly string[] {
    return this.tcp.seen.map(({ instance }) => instance);
  }
}
