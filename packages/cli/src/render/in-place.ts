const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[J';

/** A picture of several lines that is drawn over itself, on a terminal. */
export class InPlace {
  readonly #write: (text: string) => void;
  #drawn = 0;

  /** `write` puts a text on the terminal, and a line feed behind it. */
  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /**
   * Draws the lines over the last picture, as one text: a terminal that shows half of a picture flickers. A picture as
   * high as the terminal cannot be drawn over, so `height` cuts it.
   */
  draw(lines: readonly string[], height: number = Infinity): void {
    const shown = lines.slice(0, Math.max(1, height - 1));
    this.#write(this.#home() + shown.join('\n'));
    this.#drawn = shown.length;
  }

  /** The last picture stays, or `lines` replace it; the cursor is shown again. May be called twice. */
  end(lines?: readonly string[]): void {
    if (this.#drawn === 0) return;
    const last = lines === undefined ? '\u001b[1A' : this.#home() + lines.join('\n');
    this.#drawn = 0;
    this.#write(`${last}${SHOW_CURSOR}`);
  }

  #home(): string {
    return `${this.#drawn === 0 ? HIDE_CURSOR : `\u001b[${this.#drawn}A`}\r${CLEAR_BELOW}`;
  }
}
