/** One block of a Server-Sent Event stream, up to a blank line. */
export interface SseEvent {
  /** The name of the event; `message` if it has none. */
  readonly event: string;
  /** Its data lines, joined by line feeds; null if it has none (a lone `id`). */
  readonly data: string | null;
  /** Its `id` line; null if it has none. */
  readonly id: string | null;
}

/**
 * Parses Server-Sent Events (WHATWG HTML, 9.2) from bytes that may be split anywhere: inside a character, a line end, a block. It drops
 * comments and unused fields. One block may hold at most `limit` characters, finished or not.
 */
export class SseParser {
  readonly #limit: number;
  readonly #decoder = new TextDecoder();
  /** True if the last chunk ended with a carriage return: a line feed right after it belongs to the same line end. */
  #cutLineEnd = false;
  #line: string[] = [];
  #size = 0;
  #event = '';
  #data: string[] = [];
  #id: string | null = null;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The blocks that these bytes complete; null if a block exceeds the limit: read no further. */
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

  /**
   * Pieces are joined once per line, not once per chunk, so the cost of a long line in many chunks grows with its
   * length only.
   */
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
