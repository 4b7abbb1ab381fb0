/**
 * Only a caller in a process, with a simulated registry and instances: `<calls> <changes>`. Most calls succeed; some
 * fail, are repeated, end by their deadline, are cancelled, or name an unknown service. Prints the live memory, ten
 * times, and what is left at the end.
 */
import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Rollcall } from '@rollcall/client';
import type { Exchange, Sink, TcpRequest, Transport } from '@rollcall/client/testing';
import { systemTime } from '@rollcall/core';
import type { Time, Timer, TimerOptions } from '@rollcall/core';
import { instance, FakeRegistryClient, createClient, SERVICE, Tick, tickTransport } from './stack-caller.js';
import { CountingMeter } from './stack-meter.js';

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');

/** Live memory, in bytes. */
function liveBytes(): number {
  if (typeof collectGarbage !== 'function') throw new Error('This Node has no gc to expose.');
  for (let times = 0; times < 2; times += 1) collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const FLEET = 100;
const CONCURRENT = 64;
const POINTS = 10;
/** One of this many calls is of each odd kind. */
const SPECIAL_EVERY = 1_000;
/** One of this many calls names an unknown service. */
const UNKNOWN_EVERY = 20_000;
const SHORT_MS = 15;
const IDLE_MS = 100;

/** The machine’s clock, which counts the active timers. */
class CountingTime implements Time {
  pending = 0;

  now(): number {
    return systemTime.now();
  }

  wall(): number {
    return systemTime.wall();
  }

  setTimer(ms: number, run: () => void, options?: TimerOptions): Timer {
    let isSet = true;
    const settle = (): void => {
      if (isSet) this.pending -= 1;
      isSet = false;
    };
    this.pending += 1;
    const timer = systemTime.setTimer(
      ms,
      () => {
        settle();
        run();
      },
      options,
    );
    return {
      cancel: () => {
        settle();
        timer.cancel();
      },
    };
  }
}

const UNANSWERED: Exchange = { openedAt: null, cancel() {} };

/** Instances that follow the pattern of a message: `fail`, `refuse`, `never`; anything else is answered. */
function createFaultyTransport(tick: Tick): Transport<TcpRequest> {
  const channel = {
    send(request: TcpRequest, _terms: unknown, sink: Sink): Exchange {
      const { patternJson } = request;
      if (patternJson === '"never"') return UNANSWERED;
      if (patternJson === '"fail"') {
        tick.answer({ last: () => sink.fail({ kind: 'closed', cause: new Error('reset') }) });
      } else if (patternJson === '"refuse"') {
        tick.answer({ last: () => sink.fail({ kind: 'remote', cause: new Error('no') }) });
      } else tick.answer(sink);
      return UNANSWERED;
    },
    ping(_terms: unknown, sink: Sink): Exchange {
      tick.answer(sink);
      return UNANSWERED;
    },
    retire() {},
  };
  return { protocol: 'tcp', prepare: () => null, channel: () => channel, close: () => Promise.resolve() };
}

class Soak {
  readonly registry = new FakeRegistryClient(Array.from({ length: FLEET }, (_, n) => instance(n)));
  readonly time = new CountingTime();
  readonly stop = new AbortController();
  #rollcall: Rollcall | null = null;
  #changes = 0;
  made = 0;

  async start(): Promise<void> {
    const tick = new Tick();
    const transports = { tcp: createFaultyTransport(tick), http: tickTransport('http', tick) };
    const ports = { time: this.time, meter: new CountingMeter() };
    this.#rollcall = await createClient(this.registry, transports, {
      ports,
      options: { calls: { catalogWaitMs: 100 } },
    });
  }

  get rollcall(): Rollcall {
    if (this.#rollcall === null) throw new Error('It was not started.');
    return this.#rollcall;
  }

  /** Makes this many calls with this many changes among them; resolves when the last one has ended. */
  async run(calls: number, changes: number): Promise<void> {
    const until = this.made + calls;
    const every = calls / changes;
    const caller = async (): Promise<void> => {
      while (this.made < until) {
        this.made += 1;
        if (this.made % every < 1) this.#change();
        await this.#call(this.made);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT }, caller));
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  }

  /** One instance is replaced; or one changes its state. */
  #change(): void {
    this.#changes += 1;
    const n = this.#changes;
    if (n % 2 === 0) {
      this.registry.change([instance(FLEET + n / 2 - 1)], [instance(n / 2 - 1).id]);
      return;
    }
    const oldest = Math.floor(n / 2);
    const state = n % 4 === 1 ? 'UNHEALTHY' : 'HEALTHY';
    this.registry.change([instance(oldest + (n % (FLEET - 1)) + 1, { state })]);
  }

  async #call(n: number): Promise<unknown> {
    const { rollcall } = this;
    if (n % UNKNOWN_EVERY === 0) return rollcall.call(`unknown-${n}`, 'find', null).catch(() => null);
    const isIdempotent = { idempotent: true };
    switch (n % SPECIAL_EVERY) {
      case 1:
        return rollcall.call(SERVICE, 'fail', null, isIdempotent).catch(() => null);
      case 2:
        return rollcall.call(SERVICE, 'refuse', null).catch(() => null);
      case 3:
        return rollcall.call(SERVICE, 'never', null, { deadlineMs: SHORT_MS }).catch(() => null);
      case 4:
        return rollcall.call(SERVICE, 'find', null, { signal: this.stop.signal });
      case 5:
        return this.#cancelled();
      case 6:
        return rollcall.emit(SERVICE, 'found', null);
      case 7:
        return rollcall.call(SERVICE, `find-${n}`, null);
      case 8:
        return rollcall.call(SERVICE, 'find', null, { version: `${n}` }).catch(() => null);
      case 9:
        return this.#stream();
      default:
        return rollcall.call(SERVICE, 'find', null);
    }
  }

  #cancelled(): Promise<unknown> {
    const cancel = new AbortController();
    const call = this.rollcall.call(SERVICE, 'never', null, { signal: cancel.signal }).catch(() => null);
    setImmediate(() => cancel.abort());
    return call;
  }

  #stream(): Promise<unknown> {
    return new Promise((resolve) => {
      const observer = { next() {}, error: resolve, complete: () => resolve(null) };
      this.rollcall.stream(SERVICE, 'find', null, observer);
    });
  }
}

const [calls = 0, changes = 0] = process.argv.slice(2).map(Number);
const soak = new Soak();
await soak.start();
// a first tenth sizes tables and fills the statistics of the last 10 s
await soak.run(calls / POINTS, changes / POINTS);
const levels: number[] = [];
const timers: number[] = [];
for (let point = 0; point < POINTS; point += 1) {
  await soak.run(calls / POINTS, changes / POINTS);
  levels.push(liveBytes());
  timers.push(soak.time.pending);
}
const listeners = getEventListeners(soak.stop.signal, 'abort').length;
await soak.rollcall.close();
process.send?.(JSON.stringify({ levels, timers, listeners, timersAfterClose: soak.time.pending }));
