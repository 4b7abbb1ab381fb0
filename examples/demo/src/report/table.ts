import { renderView } from 'rollcall';
import type { Heartbeats, Terminal, View } from 'rollcall';
import type { Run } from '../supervisor.js';
import type { Out, Report, Whole } from './report.js';

export interface TableParts {
  readonly out: Out;
  terminal(): Terminal;
  /** Lines that fit on it. */
  height(): number;
  /** What the registry says now; null before it serves. */
  view(): Omit<View, 'heartbeats'> | null;
  /** What it measures now of all instances. */
  measure(): Promise<View['heartbeats']>;
  /** What runs now. */
  runs(): readonly Run[];
  /** What pressing a key does, in a line. */
  readonly keys: string;
}

const REDRAW_MS = 250;
const MEASURE_MS = 1_000;
const COMPLAINT_LINES = 3;
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_BELOW = '\u001b[J';

/** The live table, in place. */
export class TableReport implements Report {
  readonly #parts: TableParts;
  readonly #timers: readonly NodeJS.Timeout[];
  #heartbeats: ReadonlyMap<string, Heartbeats> = new Map();
  #gateway: string | null = null;
  #complaint: string | null = null;
  #drawn = 0;
  #isClosed = false;

  constructor(parts: TableParts) {
    this.#parts = parts;
    this.#timers = [setInterval(() => this.#draw(), REDRAW_MS), setInterval(() => void this.#measure(), MEASURE_MS)];
    this.#draw();
  }

  whole({ gateway }: Whole): void {
    this.#gateway = gateway;
    void this.#measure();
  }

  started(): void {
    this.#draw();
  }

  exited(): void {
    this.#draw();
  }

  changed(): void {
    this.#draw();
  }

  /** Under the table, until another one comes: elsewhere it would be drawn over. */
  complain(text: string): void {
    this.#complaint = text;
    this.#draw();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#parts.out.write(`${this.#home()}Ended: no process is left.${SHOW_CURSOR}`);
    if (this.#complaint !== null) this.#parts.out.complain(this.#complaint);
  }

  async #measure(): Promise<void> {
    this.#heartbeats = await this.#parts.measure();
    this.#draw();
  }

  #draw(): void {
    if (this.#isClosed) return;
    const terminal = this.#parts.terminal();
    const lines = [...this.#picture(terminal), ...this.#legend(terminal)];
    // the whole picture at once: a terminal that draws half of it would flicker
    this.#parts.out.write(this.#home() + lines.join('\n'));
    this.#drawn = lines.length;
  }

  /** Back to where the last picture began, which is wiped away. */
  #home(): string {
    return `${this.#drawn === 0 ? HIDE_CURSOR : `\u001b[${this.#drawn}A`}\r${CLEAR_BELOW}`;
  }

  #picture(terminal: Terminal): readonly string[] {
    const view = this.#parts.view();
    if (view === null) return ['Starting the registry.'];
    const rows = Math.max(1, this.#parts.height() - 8);
    return renderView({ ...view, heartbeats: this.#heartbeats }, { ...terminal, now: Date.now(), rows });
  }

  #legend({ width }: Terminal): readonly string[] {
    const runs = this.#parts.runs().map(({ role, pid }) => `${role.name} ${pid}`);
    const gateway = this.#gateway === null ? '' : `curl ${this.#gateway}/a/ping   /b/ping   /services`;
    const complaint = this.#complaint?.split('\n').slice(0, COMPLAINT_LINES) ?? [];
    const lines = [gateway, runs.join('  '), this.#parts.keys, ...complaint];
    return lines.filter((line) => line !== '').map((line) => line.slice(0, width));
  }
}
