import { InPlace, paint, renderView } from 'rollcall';
import type { Heartbeats, Span, Terminal, View } from 'rollcall';
import { failureText, sumOf, totalText, trafficText } from '../load/traffic-text.js';
import type { Traffic } from '../load/traffic-text.js';
import type { Run } from '../supervisor.js';
import type { Out, Report, ReadyInfo } from './report.js';

export interface TableParts {
  readonly out: Out;
  terminal(): Terminal;
  /** The number of lines of the terminal. */
  height(): number;
  /** The registry's current view; null before it serves. */
  view(): Omit<View, 'heartbeats' | 'calls'> | null;
  /** Its current measurements of all instances. */
  measure(): Promise<View['heartbeats']>;
  /** The current results of the demo's own calls; null: it makes none, or not yet. */
  traffic(): Traffic | null;
  /** The running processes. */
  runs(): readonly Run[];
  /** The help for the keys, in a line. */
  keys(width: number): string;
}

const REDRAW_MS = 250;
const MEASURE_MS = 1_000;
const WARNING_LINES = 3;
/** Lines of the view beside its instances: two above, their head, one below. */
const FRAME_LINES = 4;

/** The live table, in place. */
export class TableReport implements Report {
  readonly #parts: TableParts;
  readonly #place: InPlace;
  readonly #timers: readonly NodeJS.Timeout[];
  #heartbeats: ReadonlyMap<string, Heartbeats> = new Map();
  #ready: ReadyInfo | null = null;
  #notice: string | null = null;
  #complaint: string | null = null;
  #isClosed = false;

  constructor(parts: TableParts) {
    this.#parts = parts;
    this.#place = new InPlace((text) => parts.out.write(text));
    this.#timers = [setInterval(() => this.#draw(), REDRAW_MS), setInterval(() => void this.#measure(), MEASURE_MS)];
    this.#draw();
  }

  ready(facts: ReadyInfo): void {
    this.#ready = facts;
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

  /** The table shows the current results anyway. */
  traffic(): void {}

  /** Shown under the table, until the next notice. */
  notice(text: string): void {
    this.#notice = text;
    this.#draw();
  }

  /** Shown under the table, until the next warning: elsewhere it would be overwritten. */
  warn(text: string): void {
    this.#complaint = text;
    this.#draw();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    const traffic = this.#parts.traffic();
    this.#place.end([`Ended: no process is left.${traffic === null ? '' : ` ${totalText(traffic)}`}`]);
    if (this.#complaint !== null) this.#parts.out.warn(this.#complaint);
  }

  async #measure(): Promise<void> {
    // while the registry is down the last ones stay: the view shows how old they are
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
    // the table is truncated to fit, so that the effect of keys stays visible
    const [first = '', ...rest] = this.#picture(terminal, Math.max(1, room)).slice(0, Math.max(1, room));
    this.#place.draw([first, ...head.map((line) => paint(line, terminal)), ...rest, ...foot], height);
  }

  #picture(terminal: Terminal, room: number): readonly string[] {
    const view = this.#parts.view();
    if (view === null) return ['Starting the registry.'];
    if (this.#ready === null && view.instances.length === 0) return ['Starting the services.'];
    const traffic = this.#parts.traffic();
    const calls = traffic === null ? null : sumOf(traffic);
    const rows = Math.max(1, room - FRAME_LINES);
    return renderView({ ...view, heartbeats: this.#heartbeats, calls }, { ...terminal, now: Date.now(), rows });
  }

  /** The addresses, under the headline. */
  #head(): readonly (readonly Span[])[] {
    if (this.#ready === null) return [];
    const { dashboard, gateway } = this.#ready;
    return [
      [{ text: `Dashboard ${dashboard}`, look: 'strong' }, { text: `  curl ${gateway}/a/ping  /b/ping  /services` }],
    ];
  }

  #foot(width: number): readonly (readonly Span[])[] {
    const lines: Span[] = [];
    const traffic = this.#parts.traffic();
    // a stale view shows no calls, but then they matter most
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
    if (this.#notice !== null) lines.push({ text: this.#notice, look: 'strong' });
    lines.push({ text: this.#parts.keys(width) });
    for (const text of this.#complaint?.split('\n').slice(0, WARNING_LINES) ?? []) lines.push({ text });
    return lines.filter(({ text }) => text !== '').map((line) => [line]);
  }
}
