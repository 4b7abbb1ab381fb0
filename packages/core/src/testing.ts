import type { Log } from './runtime/log.js';
import type { Counter, Gauge, Histogram, Meter } from './runtime/meter.js';
import type { Random } from './runtime/random.js';
import { checkDelay } from './runtime/time.js';
import type { Time, Timer, TimerOptions } from './runtime/time.js';
import type { Instance } from './wire/instance.js';

// ---- time -----------------------------------------------------------------------------------------------------------

interface PendingTimer {
  readonly due: number;
  /** Timers due at the same moment run in the order in which they were set. */
  readonly sequence: number;
  readonly background: boolean;
  readonly run: () => void;
}

export interface ManualTimeOptions {
  /** The first value of `now`, ms; default 0. */
  readonly nowMs?: number;
  /** The first value of `wall`, ms since 1970; default 1,790,000,000,000 (September 2026). */
  readonly wallMs?: number;
}

/**
 * A clock that stops until it is advanced. No timer runs by itself: a test does not wait, and two runs with the same steps are identical.
 * The call that advances the clock rethrows the errors of timers.
 */
export class ManualTime implements Time {
  readonly #startMs: number;
  #nowMs: number;
  #wallMs: number;
  #sequence = 0;
  #advancing = false;
  /** The next timer is last, so that removing it moves no others. */
  readonly #timers: PendingTimer[] = [];

  constructor(options: ManualTimeOptions = {}) {
    this.#startMs = options.nowMs ?? 0;
    this.#nowMs = this.#startMs;
    this.#wallMs = options.wallMs ?? 1_790_000_000_000;
  }

  now(): number {
    return this.#nowMs;
  }

  wall(): number {
    return this.#wallMs + (this.#nowMs - this.#startMs);
  }

  setTimer(ms: number, run: () => void, options: TimerOptions = {}): Timer {
    checkDelay(ms);
    const timer: PendingTimer = {
      due: this.#nowMs + ms,
      sequence: this.#sequence,
      background: options.background === true,
      run,
    };
    this.#sequence += 1;
    this.#timers.splice(this.#placeOf(timer), 0, timer);
    return { cancel: () => this.#remove(timer) };
  }

  /** Moves only the wall clock, as an administrator or a time server does. It does not affect timers and `now`. */
  shiftWall(ms: number): void {
    this.#wallMs += ms;
  }

  /**
   * Advances by `ms` and runs the timers that become due, each at its own time, including those set meanwhile. Promises do not progress:
   * code that awaits needs `advanceBy`.
   */
  advance(ms: number): void {
    const until = this.#begin(ms);
    try {
      while (this.#runNext(until));
      this.#nowMs = until;
    } finally {
      this.#advancing = false;
    }
  }

  /**
   * Like `advance`, but lets promises progress before the first timer, after each timer and at the end, until none can progress further.
   * `advanceBy(0)` does only that, and runs timers that are due now.
   */
  async advanceBy(ms: number): Promise<void> {
    const until = this.#begin(ms);
    const turns = openTurns();
    try {
      do await turns.next();
      while (this.#runNext(until));
      this.#nowMs = until;
    } finally {
      turns.close();
      this.#advancing = false;
    }
  }

  /** The due time of the next timer, in the time of `now`; null if none is set. */
  nextAt(): number | null {
    return this.#timers.at(-1)?.due ?? null;
  }

  /** How many timers are set. After a `close`, none of either kind may be left. */
  pending(): { readonly foreground: number; readonly background: number } {
    const background = this.#timers.filter((timer) => timer.background).length;
    return { foreground: this.#timers.length - background, background };
  }

  #begin(ms: number): number {
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`Time goes forward; received ${ms} ms.`);
    if (this.#advancing)
      throw new Error('The clock is being advanced already: await advanceBy, and do not advance from a timer.');
    this.#advancing = true;
    return this.#nowMs + ms;
  }

  #runNext(until: number): boolean {
    const timer = this.#timers.at(-1);
    if (timer === undefined || timer.due > until) return false;
    this.#timers.pop();
    this.#nowMs = timer.due;
    timer.run();
    return true;
  }

  #remove(timer: PendingTimer): void {
    const place = this.#placeOf(timer);
    if (this.#timers[place] === timer) this.#timers.splice(place, 1);
  }

  /** The index of the timer, present or not, in the descending order of (due, sequence). */
  #placeOf(timer: PendingTimer): number {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#timers[middle];
      if (other !== undefined && isLater(other, timer)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isLater(one: PendingTimer, other: PendingTimer): boolean {
  return one.due > other.due || (one.due === other.due && one.sequence > other.sequence);
}

/**
 * Turns of the event loop: before a message is delivered, every promise that can progress has done so, however long its chain, which a
 * fixed number of `await`s could not guarantee. (A message needs about 10 µs; `setTimeout` would need 1 ms.)
 */
function openTurns(): { next(): Promise<void>; close(): void } {
  const { port1, port2 } = new MessageChannel();
  let waiting: (() => void) | null = null;
  port1.addEventListener('message', () => waiting?.());
  port1.start();
  return {
    next: () =>
      new Promise((resolve) => {
        waiting = resolve;
        port2.postMessage(null);
      }),
    close: () => port1.close(),
  };
}

// ---- randomness -----------------------------------------------------------------------------------------------------

/**
 * Random numbers from a seed, a whole number: the same seed gives the same run. The generator is sfc32 of Chris Doty-Humphrey's PractRand;
 * twelve rounds mix the seed in, so that near seeds give different runs. Not for secrets.
 */
export function seededRandom(seed: number): Random {
  let [a, b, c, counter] = [0, seed | 0, Math.floor(seed / 2 ** 32) | 0, 1];
  const nextUint32 = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 12; i += 1) nextUint32();
  return {
    unit: () => ((nextUint32() >>> 5) * 2 ** 26 + (nextUint32() >>> 6)) / 2 ** 53,
    bytes: (length) => Uint8Array.from({ length }, () => nextUint32() >>> 24),
  };
}

// ---- a readable meter ------------------------------------------------------------------------------------------------

/** Label name → value. */
export type Labels = Readonly<Record<string, string>>;

/** A Meter whose values can be read. It is strict, so that a bad name, a bad label or too many series fail a test. */
export interface MemoryMeter extends Meter {
  /** The sum of a counter, or the value of a gauge, over all series with these labels; 0 without such series. */
  count(name: string, labels?: Labels): number;
  /** Every recorded value of a histogram in the series with these labels, in order within each series. */
  values(name: string, labels?: Labels): readonly number[];
  /** The names of all created instruments, sorted. */
  names(): readonly string[];
  /** One row of a Markdown table per metric: name, kind, labels and help, sorted by name. */
  rows(): readonly string[];
}

type Kind = 'counter' | 'gauge' | 'histogram';

interface Instrument {
  readonly kind: Kind;
  readonly help: string;
  readonly labels: readonly string[];
  readonly series: Map<string, { readonly labels: Labels; readonly values: number[] }>;
}

/** More series than this in one instrument mean that a label is not bounded. */
const MAX_SERIES = 1_000;

export function memoryMeter(): MemoryMeter {
  const instruments = new Map<string, Instrument>();

  // eslint-disable-next-line max-params -- the port's own, and the kind
  function instrument(kind: Kind, name: string, help: string, labels: readonly string[] = []): Instrument {
    checkName(kind, name);
    const known = instruments.get(name) ?? { kind, help, labels, series: new Map() };
    if (known.kind !== kind || known.labels.join() !== labels.join()) {
      throw new TypeError(
        `${name} is a ${known.kind} with the labels [${known.labels.join()}]; asked for a ${kind} with [${labels.join()}].`,
      );
    }
    instruments.set(name, known);
    return known;
  }

  function matching(name: string, labels: Labels): number[][] {
    const wanted = Object.entries(labels);
    const series = [...(instruments.get(name)?.series.values() ?? [])];
    return series
      .filter((one) => wanted.every(([label, value]) => one.labels[label] === value))
      .map((one) => one.values);
  }

  return {
    counter: (name, help, labels) => counterOf(name, instrument('counter', name, help, labels)),
    gauge: (name, help, labels) => gaugeOf(name, instrument('gauge', name, help, labels)),
    histogram: (name, help, labels) => histogramOf(name, instrument('histogram', name, help, labels)),
    count: (name, labels = {}) => matching(name, labels).reduce((sum, values) => sum + (values[0] ?? 0), 0),
    values: (name, labels = {}) => matching(name, labels).flat(),
    names: () => [...instruments.keys()].toSorted(),
    rows: () =>
      [...instruments]
        .map(([name, { kind, labels, help }]) => tableRow(`\`${name}\``, kind, labels.join(', '), help))
        .toSorted(),
  };
}

function checkName(kind: Kind, name: string): void {
  const shape = kind === 'counter' ? /^rollcall_[a-z0-9_]+_total$/ : /^rollcall_[a-z0-9_]+(?<!_total)$/;
  if (!shape.test(name))
    throw new TypeError(
      `${name} is not a valid name for a ${kind}: rollcall_<what>_<unit>, and _total on counters alone.`,
    );
}

function counterOf(name: string, of: Instrument): Counter<readonly string[]> {
  return {
    add(n, ...values) {
      if (!(n >= 0)) throw new RangeError(`${name} only grows; received ${n}.`);
      const sums = seriesOf(name, of, values);
      sums[0] = (sums[0] ?? 0) + n;
    },
  };
}

function gaugeOf(name: string, of: Instrument): Gauge<readonly string[]> {
  return {
    set(value, ...values) {
      seriesOf(name, of, values)[0] = value;
    },
    add(n, ...values) {
      const sums = seriesOf(name, of, values);
      sums[0] = (sums[0] ?? 0) + n;
    },
    forget(...values) {
      of.series.delete(JSON.stringify(values));
    },
  };
}

function histogramOf(name: string, of: Instrument): Histogram<readonly string[]> {
  return {
    record(value, ...values) {
      seriesOf(name, of, values).push(value);
    },
  };
}

function seriesOf(name: string, of: Instrument, values: readonly string[]): number[] {
  const key = JSON.stringify(values);
  const known = of.series.get(key);
  if (known !== undefined) return known.values;
  if (of.series.size >= MAX_SERIES)
    throw new RangeError(`${name} has ${MAX_SERIES} series: one of its labels is not bounded.`);
  const labels = Object.fromEntries(of.labels.map((label, index) => [label, values[index] ?? '']));
  const made: number[] = [];
  of.series.set(key, { labels, values: made });
  return made;
}

// ---- recorded logs --------------------------------------------------------------------------------------------------

export interface RecordedLine {
  readonly level: keyof Log;
  readonly text: string;
}

/** A Log that stores its lines. */
export interface RecordingLog extends Log {
  readonly lines: readonly RecordedLine[];
  /** The lines of one level, or all, as text. */
  texts(level?: keyof Log): readonly string[];
}

export function recordingLog(): RecordingLog {
  const lines: RecordedLine[] = [];
  const at = (level: keyof Log) => (text: string) => void lines.push({ level, text });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    lines,
    texts: (level) => lines.filter((line) => level === undefined || line.level === level).map((line) => line.text),
  };
}

// ---- example data ---------------------------------------------------------------------------------------------------

/** A healthy instance of `orders` with some fields replaced. */
export function sampleInstance(but: Partial<Instance> = {}): Instance {
  return {
    id: 'orders-0192f0c1-7a3b-7c4d-8e5f-0123456789ab',
    service: 'orders',
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3001, tls: false }],
    version: '1.4.2',
    zone: 'eu-1a',
    weight: 100,
    metadata: {},
    state: 'HEALTHY',
    reason: { code: 'BOTH_WAYS_OK', text: 'answers Heartbeat-1 and sends Heartbeat-2' },
    since: 1_790_000_000_000,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: 1_790_000_000_000,
    revision: 1,
    ...but,
  };
}

// ---- generated pages ------------------------------------------------------------------------------------------------

/** A row, or the head, of a Markdown table. */
export const tableRow = (...cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
export const tableHead = (...cells: readonly string[]): readonly string[] => [
  tableRow(...cells),
  `|${'---|'.repeat(cells.length)}`,
];

/**
 * The page with the content between `<!-- generated: name -->` and `<!-- end -->` replaced; parts of other names are
 * kept.
 */
export function withGenerated(page: string, parts: ReadonlyMap<string, string>): string {
  return page.replace(
    /(<!-- generated: ([\w-]+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (whole, begin: string, name: string, end: string) => {
      const part = parts.get(name);
      return part === undefined ? whole : `${begin}\n${part}\n\n${end}`;
    },
  );
}
