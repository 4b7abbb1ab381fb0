import type { ClientRequest, IncomingMessage } from 'node:http';
import { answerText, parseCursor, parseFrame, printableText, problemFrom, SseParser } from '@rollcall/core';
import type { Problem, SseEvent, ReceivedAnswer, Time, Timer } from '@rollcall/core';
import type { RegistryConnectError } from './connect-error.js';
import type { Watch, WatchSink } from './registry-client.js';
import { collect, jsonOf, MAX_ANSWER_BYTES } from './response.js';

/**
 * The maximum length of a frame of the feed, in characters: resets come in parts of 64 KiB, and a change may contain every instance of a
 * service.
 */
const MAX_FRAME_CHARACTERS = 32 * 1024 * 1024;

/**
 * After this much work on received data, reading pauses for the same time: a flood takes at most half of the time, unless one chunk takes
 * more than 1 s.
 */
const MAX_TURN_MS = 10;
const MAX_PAUSE_MS = 1_000;

export interface WatchParts {
  readonly time: Time;
  readonly timeoutMs: number;
  readonly silenceMs: number;
  readonly sink: WatchSink;
  /** Called when the server answered. */
  readonly answered: () => void;
  /** The connect error to log for an error; null if there is none. */
  readonly troubleOf: (error: Error) => RegistryConnectError | null;
  readonly ended: () => void;
}

/** One open change feed. */
export class HttpWatch implements Watch {
  readonly #request: ClientRequest;
  readonly #parts: WatchParts;
  readonly #parser = new SseParser(MAX_FRAME_CHARACTERS);
  #timer: Timer;
  #rest: Timer | null = null;
  /** The work in ms that is not yet compensated by pauses or idle time. */
  #workedMs = 0;
  #doneAt = 0;
  #heardAt = 0;
  #isClosed = false;

  constructor(request: ClientRequest, parts: WatchParts) {
    this.#request = request;
    this.#parts = parts;
    this.#timer = parts.time.setTimer(parts.timeoutMs, () => this.#giveUp(), { background: true });
    request.on('error', (error) => this.#end(null, parts.troubleOf(error)));
    request.on('response', (response) => this.#answered(response));
    request.end();
  }

  close(): void {
    this.#end(null);
  }

  #answered(response: IncomingMessage): void {
    this.#parts.answered();
    const isFeed = response.statusCode === 200 && /^text\/event-stream\b/i.test(response.headers['content-type'] ?? '');
    if (!isFeed) {
      const { statusCode: status = 0, headers } = response;
      const type = headers['content-type'] ?? '';
      collect(response, MAX_ANSWER_BYTES, (text) =>
        this.#end(text === null ? null : refusalOf({ status, type, text })),
      );
      return;
    }
    response.on('data', (bytes: Uint8Array) => this.#received(bytes, response));
    response.on('error', () => this.close());
    response.on('close', () => this.close());
    this.#heardAt = this.#parts.time.now();
    this.#endWhenSilentFor(this.#parts.silenceMs);
    if (!this.#isClosed) this.#open(response);
  }

  /** A registry that is too old to support the requested beat interval does not return it. */
  #open({ headers }: IncomingMessage): void {
    const beatMs = Number(headers['rollcall-beat-ms']);
    if (beatMs > 0) this.#parts.sink.opened(beatMs);
    else this.#parts.sink.opened();
  }

  #endWhenSilentFor(ms: number): void {
    this.#timer.cancel();
    const check = (): void => {
      const leftMs = this.#heardAt + this.#parts.silenceMs - this.#parts.time.now();
      if (leftMs > 0) this.#endWhenSilentFor(leftMs);
      else this.#giveUp();
    };
    this.#timer = this.#parts.time.setTimer(ms, check, { background: true });
  }

  #giveUp(): void {
    this.#parts.sink.silent?.();
    this.close();
  }

  #received(bytes: Uint8Array, response: IncomingMessage): void {
    const { time } = this.#parts;
    const began = time.now();
    this.#workedMs = Math.max(0, this.#workedMs - (began - this.#doneAt));
    this.#read(bytes);
    this.#doneAt = time.now();
    this.#workedMs += this.#doneAt - began;
    if (this.#isClosed || this.#workedMs <= MAX_TURN_MS) return;
    const restMs = Math.min(this.#workedMs, MAX_PAUSE_MS);
    this.#workedMs = 0;
    response.pause();
    this.#rest = time.setTimer(restMs, () => void response.resume(), { background: true });
  }

  #read(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#heardAt = this.#parts.time.now();
    const events = this.#parser.push(bytes);
    if (events === null) this.#end(breach('a frame is too long'));
    if (events === null || events.length === 0) return;
    this.#parts.sink.batch(() => this.#deliverAll(events));
  }

  #deliverAll(events: readonly SseEvent[]): void {
    for (const event of events) {
      if (this.#isClosed) return;
      this.#deliver(event);
    }
  }

  #deliver({ event, data, id }: SseEvent): void {
    const frame = data === null ? null : parseFrame(event, data);
    const cursor = id === null ? null : parseCursor(id);
    if (frame?.ok === false) {
      const flaw = frame.problem[0];
      this.#end(
        breach(`${event} ${flaw?.path ?? ''}: received ${flaw?.received ?? ''}, allowed is ${flaw?.allowed ?? ''}`),
      );
      return;
    }
    if (frame !== null) this.#parts.sink.frame(frame.value);
    if (cursor !== null && !this.#isClosed) this.#parts.sink.mark(cursor);
  }

  #end(problem: Problem | null, connectError: RegistryConnectError | null = null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.cancel();
    this.#rest?.cancel();
    this.#request.destroy();
    this.#parts.ended();
    if (connectError === null) this.#parts.sink.closed(problem);
    else this.#parts.sink.closed(problem, connectError);
  }
}

/** The problem of a refusal, or of a success that is not a feed. */
function refusalOf(answer: ReceivedAnswer): Problem {
  const { status, text } = answer;
  if (status >= 400) return problemFrom(status, jsonOf(text), answer);
  return breach(`no event stream, but ${answerText(answer)}`);
}

/** The problem of data that violates the protocol. */
function breach(what: string): Problem {
  return {
    code: 'INTERNAL',
    detail: printableText(`The change feed violates the protocol: ${what}.`),
    fix: 'Check that this is the address of a registry, and that its version is compatible.',
  };
}
