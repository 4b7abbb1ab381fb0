import { InPlace, paint, renderView } from 'rollcall';
import type { Heartbeats, Span, Terminal, View } from 'rollcall';
import { failureText, sumOf, totalText, trafficText } from '../load/words.js';
import type { Traffic } from '../load/words.js';
import type { Run } from '../supervisor.js';
import type { Out, Report, Whole } from './report.js';

export interface TableParts {
  readonly out: Out;
  terminal(): Terminal;
  /** Lines that fit on it. */
  height(): number;
  /** What the registry says now; null before it serves. */
  view(): Omit<View, 'heartbeats' | 'calls'> | null;
  /** What it measures now of all instances. */
  measure(): Promise<View['heartbeats']>;
  /** How the demo's own calls fare now; null: it makes none, or not yet. */
  traffic(): Traffic | null;
  /** What runs now. */
  runs(): readonly Run[];
  /** What pressing a key does, in a line. */
  keys(width: number): string;
}

const REDRAW_MS = 250;
const MEASURE_MS = 1_000;
const COMPLAINT_LINES = 3;
/** Of the view beside its instances: two above, their head, one below. */
const FRAME_LINES = 4;

/** The live table, in place. */
export class TableReport implements Report {
  readonly #parts: TableParts;
  readonly #place: InPlace;
  readonly #timers: readonly NodeJS.Timeout[];
  #heartbeats: ReadonlyMap<string, Heartbeats> = new Map();
  #whole: Whole | null = null;
  #told: string | null = null;
  #complaint: string | null = null;
  #isClosed = false;

  constructor(parts: TableParts) {
    this.#parts = parts;
    this.#place = new InPlace((text) => parts.out.write(text));
    this.#timers = [setInterval(() => this.#draw(), REDRAW_MS), setInterval(() => void this.#measure(), MEASURE_MS)];
    this.#draw();
  }

  whole(facts: Whole): void {
    this.#whole = facts;
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

  /** It shows them as they are at each moment. */
  traffic(): void {}

  /** Under the table, until something else is told. */
  told(text: string): void {
    this.#told = text;
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
    const traffic = this.#parts.traffic();
    this.#place.end([`Ended: no process is left.${traffic === null ? '' : ` ${totalText(traffic)}`}`]);
    if (this.#complaint !== null) this.#parts.out.complain(this.#complaint);
  }

  async #measure(): Promise<void> {
    // while the registry is away the last ones stay: the view says how old they are
    if (this.#parts.view()?.isLive !== true) return;
    this.#heartbeats = await this.#parts.measure();
    this.#draw();
  }

  #draw(): void {
    if (this.#isClosed) return;
    const terminal = this.#parts.terminal();
    const height = this.#parts.height();
    const head = this.#head();
    const foot = this.#foot(terminal.width).map((line) => paint(line, terminal));
    const room = height - 1 - foot.length - head.length;
    // what does not fit is cut off the table: who presses keys must see what they do
    const [first = '', ...rest] = this.#picture(terminal, Math.max(1, room)).slice(0, Math.max(1, room));
    this.#place.draw([first, ...head.map((line) => paint(line, terminal)), ...rest, ...foot], height);
  }

  #picture(terminal: Terminal, room: number): readonly string[] {
    const view = this.#parts.view();
    if (view === null) return ['Starting the registry.'];
    if (this.#whole === null && view.instances.length === 0) return ['Starting the services.'];
    const traffic = this.#parts.traffic();
    const calls = traffic === null ? null : sumOf(traffic);
    const rows = Math.max(1, room - FRAME_LINES);
    return renderView({ ...view, heartbeats: this.#heartbeats, calls }, { ...terminal, now: Date.now(), rows });
  }

  /** Where people look, under the headline. */
  #head(): readonly (readonly Span[])[] {
    if (this.#whole === null) return [];
    const { dashboard, gateway } = this.#whole;
    return [
      [{ text: `Dashboard ${dashboard}`, look: 'strong' }, { text: `  curl ${gateway}/a/ping  /b/ping  /services` }],
    ];
  }

  #foot(width: number): readonly (readonly Span[])[] {
    const lines: Span[] = [];
    const traffic = this.#parts.traffic();
    // the view says nothing of calls while it is stale, but then it is most worth knowing
    if (traffic !== null && this.#parts.view()?.isLive !== true) lines.push({ text: trafficText(traffic) });
    const failures = traffic === null ? null : failureText(traffic);
    if (failures !== null) lines.push({ text: failures, look: 'critical' });
    lines.push({
      text: this.#parts
        .runs()
        .map(({ role, pid }) => `${role.name} ${pid}`)
        .join('  '),
      look: 'faint',
    });
    if (this.#told !== null) lines.push({ text: this.#told, look: 'strong' });
    lines.push({ text: this.#parts.keys(width) });
    for (const text of this.#complaint?.split('\n').slice(0, COMPLAINT_LINES) ?? []) lines.push({ text });
    return lines.filter(({ text }) => text !== '').map((line) => [line]);
  }
}
