import { nearest, sleep, systemRandom, systemTime } from '@rollcall/core';
import type { Instance, InstanceId } from '@rollcall/core';
import { apiOf, linkOf } from './connection.js';
import type { ConnectionFlags } from './connection.js';
import type { Heartbeats } from './heartbeats.js';
import { InPlace } from './in-place.js';
import { jsonText } from './json-text.js';
import { countsOf, outageText } from './outages.js';
import { Overview } from './overview.js';
import type { InstanceChange } from './overview.js';
import type { RegistryApi } from './registry-api.js';
import { momentText } from './moments.js';
import { EXIT } from './shell.js';
import type { ExitCode, Shell } from './shell.js';
import { edgesIn, sumOf } from './traffic.js';
import type { CallsSum } from './traffic.js';
import { renderChange, renderView } from './view.js';
import { printable, shortNames } from './words.js';

const REDRAW_MS = 250;
const MEASURE_EVERY_MS = 1_000;
/** Lines of the picture beside the table's, with a two-line row for each of the last few. */
const FRAME_LINES = 6;
/** Of how many instances the heartbeats are asked for, each second; those that need attention come first. */
const MOST_MEASURED = 64;

export interface Watching {
  readonly flags: ConnectionFlags;
  /** Null: all. */
  readonly service: string | null;
  readonly isJson: boolean;
}

/** Shows what changes until somebody asks to end. Rejects where there is no registry to begin with. */
export async function watchLive({ flags, service, isJson }: Watching, shell: Shell): Promise<ExitCode> {
  // from now on, so that whoever stops us while we start is heard
  const end = Promise.race([shell.asksToEnd(), shell.nobodyReads]);
  const api = await apiOf(flags, shell.env);
  const names = await api.services();
  if (service !== null && !names.includes(service)) shell.err(unknownText(service, names));
  const link = await linkOf(flags, shell.env);
  const isPicture = !isJson && shell.window() !== null;
  const reportFor = (overview: () => Overview): LiveReport =>
    isPicture ? new Picture(shell, api, overview) : new Lines(shell, overview, isJson);
  const report: LiveReport = reportFor(() => overview);
  const overview: Overview = new Overview({
    link,
    time: systemTime,
    random: systemRandom,
    namespace: api.namespace,
    ...(service === null ? {} : { services: [service] }),
    changed: (changes) => report.changed(changes),
  });
  overview.start();
  await untilEnd(end, () => report.tick());
  overview.close();
  report.close();
  await link.close();
  return EXIT.done;
}

function unknownText(service: string, names: readonly string[]): string {
  const meant = nearest(service, names);
  const hint = meant === null ? '' : ` Did you mean ${meant}?`;
  return `There is no service "${service}" now.${hint} Waiting for it.`;
}

/** Keeps the process alive meanwhile, also while there is no line to the registry. */
async function untilEnd(end: Promise<void>, tick: () => void): Promise<void> {
  const over = new AbortController();
  void end.then(() => over.abort());
  while (!over.signal.aborted) {
    tick();
    await sleep(systemTime, REDRAW_MS, { signal: over.signal });
  }
}

/** Who is told what happens. */
interface LiveReport {
  /** Something changed, or the line opened or ended. */
  changed(changes: readonly InstanceChange[]): void;
  /** Some time has passed. */
  tick(): void;
  close(): void;
}

/** One line for each change, for people or (JSON) for programs. */
class Lines implements LiveReport {
  readonly #shell: Shell;
  readonly #overview: () => Overview;
  readonly #isJson: boolean;
  readonly #startedAt = systemTime.wall();
  #wasLive = false;
  #outage = '';

  constructor(shell: Shell, overview: () => Overview, isJson: boolean) {
    this.#shell = shell;
    this.#overview = overview;
    this.#isJson = isJson;
  }

  changed(changes: readonly InstanceChange[]): void {
    const { isLive, instances, revision } = this.#overview();
    if (this.#wasLive !== isLive) this.#tellLine(isLive, revision);
    this.#wasLive = isLive;
    const names = shortNames([...instances, ...changes.map(({ instance }) => instance)]);
    for (const change of changes.filter(isNews)) {
      const name = names.get(change.instance.id) ?? change.instance.id;
      this.#shell.out(this.#isJson ? changeJson(change) : this.#changeText(change, name));
    }
    this.#tellOutage(instances);
  }

  /** Who may not be called any more at all, and when that is over: on the way of complaints, and so no line of its own in JSON. */
  #tellOutage(instances: readonly Instance[]): void {
    const outage = outageText(countsOf(instances));
    if (this.#isJson || outage === this.#outage) return;
    this.#outage = outage;
    const text = outage === '' ? 'Every service has somebody who may be called again.' : outage;
    this.#shell.err(`${this.#momentText(systemTime.wall())}  ${text}`);
  }

  tick(): void {}

  close(): void {}

  #changeText(change: InstanceChange, name: string): string {
    const { instance, removed } = change;
    const state = removed === null ? instance.state : 'REMOVED';
    const why = printable((removed === null ? instance.reason : removed.reason)?.text ?? '');
    const text = removed === null ? why + wantedText(change) : why;
    const screen = { ...this.#shell.terminal, now: systemTime.wall(), rows: 0 };
    return renderChange({ at: this.#momentText(screen.now), name, state, text, admin: instance.admin }, screen);
  }

  /** Output that began on another day tells the date. */
  #momentText(at: number): string {
    return momentText(at, this.#startedAt);
  }

  #tellLine(isLive: boolean, revision: number): void {
    const at = systemTime.wall();
    if (this.#isJson) this.#shell.out(jsonText({ at, change: 'line', live: isLive, revision }));
    else if (isLive) this.#shell.err(`${this.#momentText(at)}  Live, revision ${revision}.`);
    else
      this.#shell.err(
        `${this.#momentText(at)}  No line to the registry. Services go on with their own copy; trying again.`,
      );
  }
}

/** A state or a reason that was not there before, an operator's word, or an end. */
function isNews({ instance, before, removed }: InstanceChange): boolean {
  if (removed !== null || before === null) return true;
  const { state, reason, admin, weight } = before;
  const isSame = state === instance.state && reason.text === instance.reason.text;
  return !isSame || admin !== instance.admin || weight !== instance.weight;
}

/** What is wanted of it, where that is not the usual or has just changed. */
function wantedText({ instance, before }: InstanceChange): string {
  const { admin, weight } = instance;
  // any other stands before the state
  const isAdminNews = admin === 'ENABLED' && before !== null && before.admin !== admin;
  const isWeightNews = before !== null && before.weight !== weight;
  return `${isAdminNews ? `; ${admin}` : ''}${isWeightNews ? `; weight ${weight}` : ''}`;
}

function changeJson({ instance, before, removed }: InstanceChange): string {
  const { id, service, namespace, state, reason, since, next, admin, weight, revision } = instance;
  return jsonText({
    at: systemTime.wall(),
    change: removed !== null ? 'removed' : before === null ? 'present' : 'changed',
    id,
    service,
    namespace,
    state: removed === null ? state : null,
    before: before?.state ?? null,
    reason: removed === null ? reason : removed.reason,
    since,
    next: removed === null ? next : null,
    admin,
    weight,
    revision,
  });
}

/** The whole picture, in place. */
class Picture implements LiveReport {
  readonly #shell: Shell;
  readonly #api: RegistryApi;
  readonly #overview: () => Overview;
  readonly #place: InPlace;
  #heartbeats: ReadonlyMap<InstanceId, Heartbeats> = new Map();
  #calls: CallsSum | null = null;
  #measuredAt = -Infinity;
  #isMeasuring = false;
  #isClosed = false;

  constructor(shell: Shell, api: RegistryApi, overview: () => Overview) {
    this.#shell = shell;
    this.#api = api;
    this.#overview = overview;
    this.#place = new InPlace((text) => shell.out(text));
  }

  changed(): void {
    this.#draw();
  }

  tick(): void {
    const { isLive, instances } = this.#overview();
    if (isLive && !this.#isMeasuring && systemTime.now() - this.#measuredAt >= MEASURE_EVERY_MS) {
      this.#isMeasuring = true;
      void this.#measure(instances).finally(() => {
        this.#isMeasuring = false;
        this.#measuredAt = systemTime.now();
        this.#draw();
      });
    }
    this.#draw();
  }

  close(): void {
    this.#isClosed = true;
    this.#place.end();
  }

  async #measure(instances: readonly Instance[]): Promise<void> {
    const troubledFirst = instances.toSorted(
      (one, other) => Number(one.state === 'HEALTHY') - Number(other.state === 'HEALTHY'),
    );
    const ids = troubledFirst.slice(0, MOST_MEASURED).map(({ id }) => id);
    const [heartbeats, topology] = await Promise.all([
      this.#api.heartbeats(ids),
      this.#api.topology().catch(() => null),
    ]);
    this.#heartbeats = heartbeats;
    this.#calls = topology === null ? null : sumOf(edgesIn(topology));
  }

  #draw(): void {
    const window = this.#shell.window();
    if (this.#isClosed || window === null) return;
    const { isLive, heardAt, revision, instances } = this.#overview();
    const lines = renderView(
      { url: this.#api.url, isLive, heardAt, revision, instances, heartbeats: this.#heartbeats, calls: this.#calls },
      {
        ...this.#shell.terminal,
        width: window.width,
        now: systemTime.wall(),
        rows: Math.max(1, window.height - FRAME_LINES),
      },
    );
    this.#place.draw(lines, window.height);
  }
}
