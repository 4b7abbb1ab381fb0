import { batch, signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import type { Frame } from '@rollcall/core';
import { Refusal } from './api.js';
import type { Api } from './api.js';
import type { Roll } from './roll.js';
import { EventReader } from './sse.js';
import type { ServerEvent } from './sse.js';

/** How new what is shown is. */
export type Freshness =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** The line is open no more; `sinceMs`: wall clock of this browser when the last word came. */
  | { readonly kind: 'stale'; readonly since: number; readonly retryAt: number | null };

/** The registry says something every 10 s: silence for longer than this is a dead line. */
const SILENT_MS = 25_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 10_000;
const PATH = 'api/v1/watch?service=*&namespace=*';
const FRAMES: ReadonlySet<string> = new Set(['reset', 'change', 'unknown', 'status', 'gone']);

/**
 * The one stream. What comes is applied once per frame of the screen, and never more: a storm of changes costs one drawing each. When it
 * breaks it goes on from where it was, else with a whole new view; until then the old one stays and says so.
 */
export class Feed {
  readonly #api: Api;
  readonly #roll: Roll;
  readonly #freshness = signal<Freshness>({ kind: 'connecting' });
  /** Counts up whenever something was applied, for what has to ask the registry anew. */
  readonly #news = signal(0);
  #queue: ServerEvent[] = [];
  #isDrawing = false;
  #lastId = '';
  #heardAt = 0;
  #failures = 0;
  #abort: AbortController | null = null;
  #retry: number | null = null;
  #isClosed = false;

  constructor(api: Api, roll: Roll) {
    this.#api = api;
    this.#roll = roll;
  }

  get freshness(): ReadonlySignal<Freshness> {
    return this.#freshness;
  }

  get news(): ReadonlySignal<number> {
    return this.#news;
  }

  start(): void {
    this.#isClosed = false;
    void this.#follow();
  }

  /** Now rather than when the wait is over. */
  retryNow(): void {
    if (this.#freshness.value.kind === 'live') return;
    this.#abort?.abort();
    this.#clearRetry();
    void this.#follow();
  }

  close(): void {
    this.#isClosed = true;
    this.#clearRetry();
    this.#abort?.abort();
  }

  async #follow(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    const watchdog = window.setInterval(() => {
      if (Date.now() - this.#heardAt > SILENT_MS) abort.abort();
    }, SILENT_MS / 5);
    this.#heardAt = Date.now();
    try {
      await this.#read(abort.signal);
    } catch (error) {
      if (error instanceof Refusal && error.status === 401) this.#lastId = '';
    } finally {
      window.clearInterval(watchdog);
    }
    // another attempt may have begun meanwhile
    if (this.#abort === abort && !this.#isClosed) this.#retryLater();
  }

  async #read(abort: AbortSignal): Promise<void> {
    const resumes = this.#lastId !== '';
    const response = await this.#api.open(resumes ? `${PATH}&resume=*` : PATH, {
      signal: abort,
      headers: resumes ? { 'last-event-id': this.#lastId } : {},
    });
    const { body } = response;
    if (body === null) return;
    if (!resumes) this.#enqueue([BEGIN]);
    const reader = new EventReader();
    const pieces = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await pieces.read();
      if (done) return;
      this.#heardAt = Date.now();
      this.#failures = 0;
      if (this.#freshness.value.kind !== 'live') this.#freshness.value = { kind: 'live' };
      this.#enqueue(reader.read(value));
    }
  }

  #enqueue(events: readonly ServerEvent[]): void {
    this.#queue.push(...events);
    if (this.#isDrawing || this.#queue.length === 0) return;
    this.#isDrawing = true;
    // a hidden tab draws nothing, and must not pile things up
    if (document.hidden) window.setTimeout(() => this.#draw(), 250);
    else requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    this.#isDrawing = false;
    const events = this.#queue;
    this.#queue = [];
    batch(() => {
      let frames: Frame[] = [];
      for (const { event, data, id } of events) {
        if (event === BEGIN.event) {
          this.#roll.beginAnew();
          continue;
        }
        if (data !== '' && FRAMES.has(event)) frames.push({ event, data: JSON.parse(data) } as Frame);
        if (id === '' || id === this.#lastId) continue;
        this.#lastId = id;
        this.#roll.apply(frames);
        frames = [];
        this.#roll.caughtUp(revisionOf(id));
      }
      this.#roll.apply(frames);
      this.#news.value += 1;
    });
  }

  #retryLater(): void {
    const waitMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    const known = this.#freshness.value;
    const since = known.kind === 'stale' ? known.since : this.#heardAt;
    const isLocked = this.#api.isLocked.value;
    this.#freshness.value = { kind: 'stale', since, retryAt: isLocked ? null : Date.now() + waitMs };
    if (!isLocked) this.#retry = window.setTimeout(() => void this.#follow(), waitMs);
  }

  #clearRetry(): void {
    if (this.#retry !== null) window.clearTimeout(this.#retry);
    this.#retry = null;
  }
}

const BEGIN: ServerEvent = { event: ' begin', data: '', id: '' };

/** Of a cursor, `<epoch>.<revision>`. */
function revisionOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('.') + 1)) || 0;
}
