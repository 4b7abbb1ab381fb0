/** One block of a Server-Sent Event stream: a blank line ended it. */
export interface SseEvent {
  /** The event's name; `message` when none was given. */
  readonly event: string;
  /** Its data lines, joined by line feeds; null when it had none (a lone `id`). */
  readonly data: string | null;
  /** Its `id` line; null when it had none. */
  readonly id: string | null;
}

/**
 * Server-Sent Events (WHATWG HTML, 9.2) from bytes that may be cut anywhere: inside a character, a line end, a block. Comments
 * and fields that we do not use are dropped. One block may hold `limit` characters, finished or not.
 */
export class SseParser {
  readonly #limit: number;
  readonly #decoder = new TextDecoder();
  /** A carriage return ended the last chunk: a line feed right after it belongs to the same line end. */
  #cutLineEnd = false;
  #line: string[] = [];
  #size = 0;
  #event = '';
  #data: string[] = [];
  #id: string | null = null;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The blocks that these bytes finish; null when a block is longer than allowed: read no further. */
  push(bytes: Uint8Array): readonly SseEvent[] | null {
    const text = this.#withoutCutLineEnd(this.#decoder.decode(bytes, { stream: true }));
    const events: SseEvent[] = [];
    let from = 0;
    for (const end of text.matchAll(/\r\n?|\n/g)) {
      this.#hold(text.slice(from, end.index));
      from = end.index + end[0].length;
      if (this.#size > this.#limit) return null;
      const event = this.#endLine();
      if (event !== null) events.push(event);
    }
    this.#hold(text.slice(from));
    return this.#size > this.#limit ? null : events;
  }

  #withoutCutLineEnd(text: string): string {
    if (text === '') return text;
    const rest = this.#cutLineEnd && text.startsWith('\n') ? text.slice(1) : text;
    this.#cutLineEnd = text.endsWith('\r');
    return rest;
  }

  /** Pieces are joined once per line, not once per chunk: a long line that comes in many chunks costs what it is long. */
  #hold(piece: string): void {
    if (piece === '') return;
    this.#line.push(piece);
    this.#size += piece.length;
  }

  #endLine(): SseEvent | null {
    const line = this.#line.join('');
    this.#line = [];
    if (line === '') return this.#endBlock();
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line.charAt(colon + 1) === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id') this.#id = value;
    else this.#size -= line.length;
    return null;
  }

  #endBlock(): SseEvent | null {
    const data = this.#data.length === 0 ? null : this.#data.join('\n');
    const block: SseEvent = { event: this.#event === '' ? 'message' : this.#event, data, id: this.#id };
    this.#event = '';
    this.#data = [];
    this.#id = null;
    this.#size = 0;
    return block.data === null && block.id === null ? null : block;
  }
}
