import { batch, signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { SseParser } from '@rollcall/core';
import type { Frame, SseEvent } from '@rollcall/core';
import { Refusal } from './api.js';
import type { Api } from './api.js';
import type { Roll } from './roll.js';

/** The age of the shown data. */
export type Freshness =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /**
   * Nothing has arrived for too long; `since`, `retryAt`: wall clock of this browser, of the last message and of the
   * next attempt.
   */
  | {
      readonly kind: 'stale';
      readonly since: number;
      /**
       * True if it went silent without closing: its process may hang, or the network may be cut. Else it closed or refused the
       * connection.
       */
      readonly isSilent: boolean;
      /** Null: none is planned, or one is in progress. */
      readonly retryAt: number | null;
      /** The registry's reason for its refusal; null: it did not answer. */
      readonly refusal: Refusal | null;
    };

/** The longest silence that is requested from the registry; an older registry is silent for at most 10 s. */
const BEAT_MS = 5_000;
const OLD_BEAT_MS = 10_000;
/** After the second missed sign of life the view counts as old; the delay is at most this. */
const LATE_MS = 1_000;
const MAX_TRUST_MS = 12_000;
/** After a longer silence the connection counts as dead: another one is tried. */
const SILENT_MS = 25_000;
/** An attempt that is not answered by then will not be. */
const ATTEMPT_MS = 10_000;
const CHECK_MS = 500;
/** The longest event that is read: a registry's own frames have at most 64 KiB, and a few tombstones. */
const MAX_EVENT_BYTES = 4 * 1024 * 1024;
const HIDDEN_DRAW_MS = 250;
/** Between two drawings: the first change after a pause is shown at once, many are shown together. */
const DRAW_GAP_MS = 250;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
const PATH = `api/v1/watch?service=*&namespace=*&beatMs=${BEAT_MS}`;
const FRAMES: ReadonlySet<string> = new Set(['reset', 'change', 'unknown', 'status', 'gone']);

/**
 * The stream of changes. They are applied at most a few times a second: a storm of changes costs one drawing each.
 * After a break it resumes from its cursor, or else with a whole new view; until then the old view stays and is marked
 * as old.
 */
export class Feed {
  readonly #api: Api;
  readonly #roll: Roll;
  readonly #freshness = signal<Freshness>({ kind: 'connecting' });
  /** Counts applied changes, for parts that have to request data again. */
  readonly #changeCount = signal(0);
  #queue: SseEvent[] = [];
  #frames: Frame[] = [];
  /** True once a service's whole view has arrived since the view began. */
  #hasReset = false;
  #isDrawing = false;
  #drawnAt = -Infinity;
  #lastId = '';
  /** The number of services that the newest stream begins with; null: not reported. */
  #total: number | null = null;
  /** After this time without a message the view counts as old. */
  #trustMs = MAX_TRUST_MS;
  /** Another attempt is made after this time without a message. */
  #maxSilenceMs = ATTEMPT_MS;
  /** The time of the last message, or of the start of an attempt without one. */
  #lastMessageAt = Date.now();
  #failures = 0;
  #abort: AbortController | null = null;
  #retry: number | null = null;

  constructor(api: Api, roll: Roll) {
    this.#api = api;
    this.#roll = roll;
  }

  get freshness(): ReadonlySignal<Freshness> {
    return this.#freshness;
  }

  get changeCount(): ReadonlySignal<number> {
    return this.#changeCount;
  }

  start(): void {
    void this.#connect();
  }

  /** Retries at once, without the rest of the wait. */
  retryNow(): void {
    if (this.#freshness.value.kind === 'live') return;
    this.#abort?.abort();
    this.#clearRetry();
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    const startedAt = Date.now();
    this.#lastMessageAt = startedAt;
    this.#maxSilenceMs = ATTEMPT_MS;
    let wasSilent = false;
    const watchdog = window.setInterval(() => {
      const silentMs = Date.now() - this.#lastMessageAt;
      if (silentMs > this.#trustMs) this.#markSilent();
      wasSilent = silentMs > this.#maxSilenceMs;
      if (wasSilent) abort.abort();
    }, CHECK_MS);
    if (this.#freshness.value.kind === 'stale') this.#freshness.value = { ...this.#freshness.value, retryAt: null };
    let refusal: Refusal | null = null;
    try {
      await this.#read(abort.signal);
    } catch (error) {
      if (error instanceof Refusal) refusal = error;
      if (refusal?.status === 401) this.#lastId = '';
    } finally {
      window.clearInterval(watchdog);
      abort.abort(); // the rest of the body
    }
    // another attempt may have started
    if (this.#abort === abort) this.#retryLater({ refusal, wasSilent, tookMs: Date.now() - startedAt });
  }

  async #read(abort: AbortSignal): Promise<void> {
    const resumes = this.#lastId !== '';
    const response = await this.#api.open(resumes ? `${PATH}&resume=*` : PATH, {
      signal: abort,
      headers: resumes ? { 'last-event-id': this.#lastId } : {},
    });
    const { body } = response;
    if (body === null) return;
    this.#lastMessageAt = Date.now();
    this.#maxSilenceMs = SILENT_MS;
    this.#total = numberIn(response.headers, 'rollcall-services');
    const beatMs = numberIn(response.headers, 'rollcall-beat-ms') ?? OLD_BEAT_MS;
    this.#trustMs = Math.min(MAX_TRUST_MS, 2 * beatMs + LATE_MS);
    if (!resumes) this.#enqueue([BEGIN]);
    const parser = new SseParser(MAX_EVENT_BYTES);
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#lastMessageAt = Date.now();
      this.#failures = 0;
      if (this.#freshness.value.kind !== 'live') this.#freshness.value = { kind: 'live' };
      const events = parser.push(value);
      if (events === null) throw new Error('The registry sent an event of more than 4 MiB.');
      this.#enqueue(events);
    }
  }

  #enqueue(events: readonly SseEvent[]): void {
    this.#queue.push(...events);
    if (this.#isDrawing || this.#queue.length === 0) return;
    this.#isDrawing = true;
    const waitMs = this.#drawnAt + DRAW_GAP_MS - performance.now();
    if (waitMs > 0) window.setTimeout(() => this.#scheduleDraw(), waitMs);
    else this.#scheduleDraw();
  }

  #scheduleDraw(): void {
    // a tab that is hidden, now or a moment later, is given no frames, and must not pile things up
    const fallback = window.setTimeout(() => this.#draw(), HIDDEN_DRAW_MS);
    requestAnimationFrame(() => {
      if (!this.#isDrawing) return;
      window.clearTimeout(fallback);
      this.#draw();
    });
  }

  #draw(): void {
    this.#isDrawing = false;
    this.#drawnAt = performance.now();
    const events = this.#queue;
    this.#queue = [];
    batch(() => {
      for (const event of events) this.#apply(event);
      this.#flush();
      this.#changeCount.value += 1;
    });
  }

  #apply({ event, data, id }: SseEvent): void {
    if (event === BEGIN.event) this.#beginView();
    else if (data !== null && FRAMES.has(event)) this.#addFrame({ event, data: JSON.parse(data) } as Frame);
    if (id === null || id === this.#lastId) return;
    if (this.#lastId !== '' && epochOf(id) !== epochOf(this.#lastId)) this.#beginView();
    this.#lastId = id;
    this.#flush();
    // revision 0 after a message means that more follows
    if (revisionOf(id) > 0 || !this.#hasReset) this.#roll.finishView(revisionOf(id));
  }

  /** A registry that lost its data does not resume, and sends another epoch: what it does not name is gone. */
  #addFrame(frame: Frame): void {
    if (frame.event === 'reset') {
      if (this.#lastId !== '' && frame.data.epoch !== epochOf(this.#lastId)) this.#beginView();
      this.#hasReset = true;
    }
    this.#frames.push(frame);
  }

  #beginView(): void {
    this.#flush();
    this.#lastId = '';
    this.#hasReset = false;
    this.#roll.beginView(this.#total);
  }

  #flush(): void {
    const frames = this.#frames;
    this.#frames = [];
    if (frames.length > 0) this.#roll.apply(frames);
  }

  /** The connection is open, and silent. */
  #markSilent(): void {
    if (this.#freshness.value.kind === 'stale') return;
    this.#freshness.value = { kind: 'stale', since: this.#lastMessageAt, isSilent: true, retryAt: null, refusal: null };
  }

  /** The wait counts from the start of the attempt: a silent attempt has waited already. */
  #retryLater({ refusal, wasSilent, tookMs }: Attempt): void {
    const backoffMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.75 + Math.random() / 2);
    const waitMs = Math.max(FIRST_RETRY_MS / 2, backoffMs - (wasSilent ? tookMs : 0));
    this.#failures += 1;
    const freshness = this.#freshness.value;
    const since = freshness.kind === 'stale' ? freshness.since : this.#lastMessageAt;
    const isLocked = this.#api.isLocked.value;
    const retryAt = isLocked ? null : Date.now() + waitMs;
    this.#freshness.value = { kind: 'stale', since, isSilent: wasSilent, retryAt, refusal };
    if (!isLocked) this.#retry = window.setTimeout(() => void this.#connect(), waitMs);
  }

  #clearRetry(): void {
    if (this.#retry !== null) window.clearTimeout(this.#retry);
    this.#retry = null;
  }
}

/** The result of an attempt. */
interface Attempt {
  readonly refusal: Refusal | null;
  readonly wasSilent: boolean;
  readonly tookMs: number;
}

/** A number from 0 in a header; null: no such header. */
function numberIn(headers: Headers, name: string): number | null {
  const text = headers.get(name) ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) : null;
}

const BEGIN: SseEvent = { event: ' begin', data: null, id: null };

const epochOf = (cursor: string): string => cursor.slice(0, cursor.lastIndexOf('.'));

/** The revision of a cursor, `<epoch>.<revision>`. */
function revisionOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('.') + 1)) || 0;
}
