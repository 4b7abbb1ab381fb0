/** One event of a Server-Sent Event stream (WHATWG HTML, 9.2). */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
  /** The last id that the stream told, up to and with this event. */
  readonly id: string;
}

/** The longest event that is read: a registry's own frames have at most 64 KiB, and a few tombstones. */
const LONGEST = 4 * 1024 * 1024;

/** Reads a stream piece by piece, wherever it is cut. Comments and unknown fields are left out. */
export class EventReader {
  #rest = '';
  #event = '';
  #data: string[] = [];
  #id = '';

  /** What is whole after this piece. Throws when one event is longer than 4 MiB. */
  read(piece: string): ServerEvent[] {
    const lines = (this.#rest + piece).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LONGEST) throw new Error('The registry sent an event of more than 4 MiB.');
    const events: ServerEvent[] = [];
    for (const line of lines) {
      const event = this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
      if (event !== null) events.push(event);
    }
    return events;
  }

  #line(line: string): ServerEvent | null {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id') this.#id = value;
    return null;
  }

  /** An id without data is told too: it says up to where everything has come. */
  #dispatch(): ServerEvent {
    const event = { event: this.#event, data: this.#data.join('\n'), id: this.#id };
    this.#event = '';
    this.#data = [];
    return event;
  }
}
