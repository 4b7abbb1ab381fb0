import { batch, signal } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import { SseParser } from '@rollcall/core';
import type { Frame, SseEvent } from '@rollcall/core';
import { Refusal } from './api.js';
import type { Api } from './api.js';
import type { Roll } from './roll.js';

/** How new what is shown is. */
export type Freshness =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** The line is open no more; `since`, `retryAt`: wall clock of this browser, of the last word and of the next attempt. */
  | {
      readonly kind: 'stale';
      readonly since: number;
      readonly retryAt: number | null;
      /** Why the registry did not take us, in its own words; null: it did not answer. */
      readonly refusal: Refusal | null;
    };

/** The registry says something every 10 s: silence for longer than this is a dead line. */
const SILENT_MS = 25_000;
/** The longest event that is read: a registry's own frames have at most 64 KiB, and a few tombstones. */
const LONGEST = 4 * 1024 * 1024;
const HIDDEN_MS = 250;
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
  #queue: SseEvent[] = [];
  #frames: Frame[] = [];
  /** Has a service's whole view come since the view began? */
  #hasReset = false;
  #isDrawing = false;
  #lastId = '';
  #heardAt = 0;
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

  get news(): ReadonlySignal<number> {
    return this.#news;
  }

  start(): void {
    void this.#follow();
  }

  /** Now rather than when the wait is over. */
  retryNow(): void {
    if (this.#freshness.value.kind === 'live') return;
    this.#abort?.abort();
    this.#clearRetry();
    void this.#follow();
  }

  async #follow(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    const watchdog = window.setInterval(() => {
      if (Date.now() - this.#heardAt > SILENT_MS) abort.abort();
    }, SILENT_MS / 5);
    this.#heardAt = Date.now();
    let refusal: Refusal | null = null;
    try {
      await this.#read(abort.signal);
    } catch (error) {
      if (error instanceof Refusal) refusal = error;
      if (refusal?.status === 401) this.#lastId = '';
    } finally {
      window.clearInterval(watchdog);
      abort.abort(); // what is left of the body
    }
    // another attempt may have begun meanwhile
    if (this.#abort === abort) this.#retryLater(refusal);
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
    const parser = new SseParser(LONGEST);
    const pieces = body.getReader();
    for (;;) {
      const { done, value } = await pieces.read();
      if (done) return;
      this.#heardAt = Date.now();
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
    // a tab that is hidden, now or a moment later, is given no frames, and must not pile things up
    const late = window.setTimeout(() => this.#draw(), HIDDEN_MS);
    requestAnimationFrame(() => {
      if (!this.#isDrawing) return;
      window.clearTimeout(late);
      this.#draw();
    });
  }

  #draw(): void {
    this.#isDrawing = false;
    const events = this.#queue;
    this.#queue = [];
    batch(() => {
      for (const event of events) this.#apply(event);
      this.#flush();
      this.#news.value += 1;
    });
  }

  #apply({ event, data, id }: SseEvent): void {
    if (event === BEGIN.event) this.#begin();
    else if (data !== null && FRAMES.has(event)) this.#add({ event, data: JSON.parse(data) } as Frame);
    if (id === null || id === this.#lastId) return;
    if (this.#lastId !== '' && epochOf(id) !== epochOf(this.#lastId)) this.#begin();
    this.#lastId = id;
    this.#flush();
    // revision 0 after something came says that more is to come
    if (revisionOf(id) > 0 || !this.#hasReset) this.#roll.caughtUp(revisionOf(id));
  }

  /** A registry that lost its memory resumes nothing, and says so with another epoch: what it does not name is gone. */
  #add(frame: Frame): void {
    if (frame.event === 'reset') {
      if (this.#lastId !== '' && frame.data.epoch !== epochOf(this.#lastId)) this.#begin();
      this.#hasReset = true;
    }
    this.#frames.push(frame);
  }

  #begin(): void {
    this.#flush();
    this.#lastId = '';
    this.#hasReset = false;
    this.#roll.beginAnew();
  }

  #flush(): void {
    const frames = this.#frames;
    this.#frames = [];
    if (frames.length > 0) this.#roll.apply(frames);
  }

  #retryLater(refusal: Refusal | null): void {
    const waitMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.75 + Math.random() / 2);
    this.#failures += 1;
    const known = this.#freshness.value;
    const since = known.kind === 'stale' ? known.since : this.#heardAt;
    const isLocked = this.#api.isLocked.value;
    this.#freshness.value = { kind: 'stale', since, retryAt: isLocked ? null : Date.now() + waitMs, refusal };
    if (!isLocked) this.#retry = window.setTimeout(() => void this.#follow(), waitMs);
  }

  #clearRetry(): void {
    if (this.#retry !== null) window.clearTimeout(this.#retry);
    this.#retry = null;
  }
}

const BEGIN: SseEvent = { event: ' begin', data: null, id: null };

const epochOf = (cursor: string): string => cursor.slice(0, cursor.lastIndexOf('.'));

/** Of a cursor, `<epoch>.<revision>`. */
function revisionOf(id: string): number {
  return Number(id.slice(id.lastIndexOf('.') + 1)) || 0;
}
