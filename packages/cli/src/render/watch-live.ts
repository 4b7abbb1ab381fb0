import { sleep, systemRandom, systemTime } from '@rollcall/core';
import type { Instance, InstanceId, OverrideTerms } from '@rollcall/core';
import { apiOf, linkOf } from '../registry/connection.js';
import type { ConnectionFlags } from '../registry/connection.js';
import type { Heartbeats } from '../registry/heartbeats.js';
import {
  hasSeveralNamespaces,
  isUnknownNamespace,
  namesOf,
  otherNamespacesText,
  unknownNamespaceText,
  unknownServiceText,
} from '../registry/namespaces.js';
import { Overview } from '../registry/overview.js';
import type { InstanceChange } from '../registry/overview.js';
import { heartbeatsIn } from '../registry/registry-api.js';
import type { RegistryApi, Whereabouts } from '../registry/registry-api.js';
import { edgesIn, sumOf } from '../registry/traffic.js';
import type { CallsSum, Edge } from '../registry/traffic.js';
import { jsonText } from '../terminal/json-text.js';
import { momentText } from '../terminal/moments.js';
import { EXIT } from '../terminal/shell.js';
import type { ExitCode, Shell } from '../terminal/shell.js';
import { ageText, printable } from '../terminal/texts.js';
import { InPlace } from './in-place.js';
import { isWell } from './instance-table.js';
import { countsOf, outagesIn, outageText } from './outages.js';
import { NO_LINE_TEXT, renderChange, renderTraffic, renderView, SILENT_TEXT, trafficLines } from './view.js';
import { termsIn } from './override-terms.js';
import { edgesOf, trafficJson, TrafficThrottle } from './watch-traffic.js';

const REDRAW_MS = 250;
const MEASURE_EVERY_MS = 1_000;
/** Lines of the picture beside the table's, with a two-line row for each of the last few. */
const FRAME_LINES = 6;
/** The interval at which services of other namespaces are checked. */
const OTHER_NAMESPACES_EVERY_MS = 5_000;
/** The number of instances whose heartbeats are requested each second; those that need attention come first. */
const MAX_MEASURED = 64;

export interface WatchOptions {
  readonly flags: ConnectionFlags;
  /** Null: all. */
  readonly service: string | null;
  readonly isJson: boolean;
}

/** Shows changes until a signal ends the process. Rejects if there is no registry at the start. */
export async function watchLive({ flags, service, isJson }: WatchOptions, shell: Shell): Promise<ExitCode> {
  // listen from now on: a signal during the start must not be lost
  const end = Promise.race([shell.waitForSignal(), shell.outputClosed]);
  const api = await apiOf(flags, shell.env);
  const known = await api.everywhere();
  const missing = missingText(service, api, known);
  if (missing !== null) shell.err(`${missing} Waiting for it.`);
  const link = await linkOf(flags, shell.env);
  const isPicture = !isJson && shell.window() !== null;
  const reportFor = (overview: () => Overview): LiveReport =>
    isPicture ? new PictureReport(shell, scope, overview) : new LineReport(shell, scope, { overview, isJson });
  const hasOtherNamespaces = service === null && flags['--namespace'] === undefined;
  const scope: WatchScope = { api, service, known, hasOtherNamespaces };
  const otherNamespaces = otherNamespacesIn(scope, known);
  if (!isPicture && !isJson && otherNamespaces !== '') shell.err(otherNamespaces);
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
  await tickUntil(end, () => report.tick());
  overview.close();
  report.close();
  await link.close();
  return EXIT.done;
}

/** The error text if the requested service or namespace does not exist; null: it does. */
function missingText(service: string | null, api: RegistryApi, known: readonly Whereabouts[]): string | null {
  if (isUnknownNamespace(api.namespace, known)) return unknownNamespaceText(api, known);
  const isThere = (candidate: Whereabouts): boolean =>
    candidate.name === service && (api.namespace === '*' || candidate.namespace === api.namespace);
  return service === null || known.some(isThere) ? null : unknownServiceText(service, api, known);
}

/** The scope of the watch. */
interface WatchScope {
  readonly api: RegistryApi;
  /** Null: all. */
  readonly service: string | null;
  /** The services at the start, in all namespaces. */
  readonly known: readonly Whereabouts[];
  /** True if other namespaces are mentioned. Not if one, or a service, was asked for by name. */
  readonly hasOtherNamespaces: boolean;
}

const otherNamespacesIn = ({ api, hasOtherNamespaces }: WatchScope, known: readonly Whereabouts[]): string =>
  hasOtherNamespaces ? otherNamespacesText(api.namespace, known) : '';

/** True if each name begins with its namespace. */
const hasNamespaces = ({ known }: WatchScope, instances: readonly Instance[]): boolean =>
  hasSeveralNamespaces(known) || hasSeveralNamespaces(instances);

/** The recent edges that callers reported; null: not available now. */
async function fetchEdges({ api }: WatchScope): Promise<readonly Edge[] | null> {
  const topology = await api.topology().catch(() => null);
  return topology === null ? null : edgesIn(topology);
}

/** Keeps the process alive, also without a connection to the registry. */
async function tickUntil(end: Promise<void>, tick: () => void): Promise<void> {
  const stopped = new AbortController();
  void end.then(() => stopped.abort());
  while (!stopped.signal.aborted) {
    tick();
    await sleep(systemTime, REDRAW_MS, { signal: stopped.signal });
  }
}

/** A receiver of live changes. */
interface LiveReport {
  /** Called when something changed, or the line opened or ended. */
  changed(changes: readonly InstanceChange[]): void;
  /** Called periodically. */
  tick(): void;
  close(): void;
}

/** Prints one line for each change, as text or as JSON. */
class LineReport implements LiveReport {
  readonly #shell: Shell;
  readonly #scope: WatchScope;
  readonly #overview: () => Overview;
  readonly #isJson: boolean;
  readonly #traffic: TrafficThrottle | null;
  #measuredAt = -Infinity;
  readonly #startedAt = systemTime.wall();
  #isClosed = false;
  #wasLive = false;
  #outage = ' ';

  constructor(
    shell: Shell,
    scope: WatchScope,
    { overview, isJson }: { readonly overview: () => Overview; readonly isJson: boolean },
  ) {
    this.#shell = shell;
    this.#scope = scope;
    this.#overview = overview;
    this.#isJson = isJson;
    this.#traffic = scope.service === null ? null : new TrafficThrottle(scope.service);
  }

  changed(changes: readonly InstanceChange[]): void {
    const { isLive, instances } = this.#overview();
    if (this.#wasLive !== isLive) this.#printConnection();
    this.#wasLive = isLive;
    const all = [...instances, ...changes.map(({ instance }) => instance)];
    const names = namesOf(all, hasNamespaces(this.#scope, all));
    for (const change of changes.filter(isReportable)) {
      const name = names.get(change.instance.id) ?? change.instance.id;
      this.#shell.out(this.#isJson ? changeJson(change) : this.#changeText(change, name));
    }
    this.#reportOutage(instances, hasNamespaces(this.#scope, all));
  }

  /**
   * Reports services without a callable instance, and the end of that, on standard error; not in JSON, which has no
   * such line.
   */
  #reportOutage(instances: readonly Instance[], isSeveral: boolean): void {
    const counts = countsOf(instances, isSeveral);
    const outage = outageText(counts);
    // the sentence counts some of many services
    const key = `${outage} ${outagesIn(counts).join(' ')}`;
    if (this.#isJson || key === this.#outage) return;
    this.#outage = key;
    const text = outage === '' ? 'Every service has a callable instance again.' : outage;
    this.#shell.err(`${this.#momentText(systemTime.wall())}  ${text}`);
  }

  tick(): void {
    const now = systemTime.now();
    if (this.#traffic === null || !this.#overview().isLive || now - this.#measuredAt < MEASURE_EVERY_MS) return;
    this.#measuredAt = now;
    void this.#printTraffic(this.#traffic);
  }

  close(): void {
    this.#isClosed = true;
  }

  async #printTraffic(throttle: TrafficThrottle): Promise<void> {
    const { service, api } = this.#scope;
    const edges = await fetchEdges(this.#scope);
    if (service === null || edges === null || this.#isClosed) return;
    const traffic = throttle.update(edgesOf(edges, service), systemTime.now());
    if (traffic === null) return;
    const wall = systemTime.wall();
    if (this.#isJson) this.#shell.out(trafficJson(traffic, api.namespace, wall));
    else this.#shell.out(renderTraffic(this.#momentText(wall), traffic, this.#shell.terminal));
  }

  #changeText(change: InstanceChange, name: string): string {
    const { instance, removed } = change;
    const state = removed === null ? instance.state : 'REMOVED';
    const why = printable((removed === null ? instance.reason : removed.reason)?.text ?? '');
    const text = removed === null ? why + settingText(change) : why;
    const screen = { ...this.#shell.terminal, now: systemTime.wall(), rows: 0 };
    const { admin, reason } = instance;
    return renderChange({ at: this.#momentText(screen.now), name, state, text, admin, reason }, screen);
  }

  /** Output that began on another day has the date. */
  #momentText(at: number): string {
    return momentText(at, this.#startedAt);
  }

  #printConnection(): void {
    const at = systemTime.wall();
    const { isLive, isSilent, lastMessageAt, revision } = this.#overview();
    if (this.#isJson) {
      this.#shell.out(
        jsonText({ at, change: 'line', live: isLive, revision, silent: isSilent, heardAt: lastMessageAt }),
      );
      return;
    }
    const silence =
      lastMessageAt === null ? SILENT_TEXT : `No message for ${ageText(at - lastMessageAt)}. ${SILENT_TEXT}`;
    const text = isLive ? `Live, revision ${revision}.` : isSilent ? silence : NO_LINE_TEXT;
    this.#shell.err(`${this.#momentText(at)}  ${text}`);
  }
}

/** A new state or reason, a setting of an operator, or a removal. */
function isReportable({ instance, before, removed }: InstanceChange): boolean {
  if (removed !== null || before === null) return true;
  const { state, reason, admin, weight } = before;
  const isSame = state === instance.state && reason.text === instance.reason.text;
  return !isSame || admin !== instance.admin || weight !== instance.weight;
}

/** The setting of the operator, if it is not the default or has just changed. */
function settingText({ instance, before }: InstanceChange): string {
  const { admin, weight } = instance;
  // any other is before the state
  const isNewAdmin = admin === 'ENABLED' && before !== null && before.admin !== admin;
  const isNewWeight = before !== null && before.weight !== weight;
  return `${isNewAdmin ? `; ${admin}` : ''}${isNewWeight ? `; weight ${weight}` : ''}`;
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
class PictureReport implements LiveReport {
  readonly #shell: Shell;
  readonly #scope: WatchScope;
  readonly #overview: () => Overview;
  readonly #place: InPlace;
  #heartbeats: ReadonlyMap<InstanceId, Heartbeats> = new Map();
  #away: ReadonlyMap<InstanceId, OverrideTerms> = new Map();
  #calls: CallsSum | null = null;
  #otherNamespaces: string;
  #otherNamespacesAt = systemTime.now();
  #edges: readonly Edge[] = [];
  #measuredAt = -Infinity;
  #isMeasuring = false;
  #isClosed = false;

  constructor(shell: Shell, scope: WatchScope, overview: () => Overview) {
    this.#shell = shell;
    this.#scope = scope;
    this.#overview = overview;
    this.#place = new InPlace((text) => shell.out(text));
    this.#otherNamespaces = otherNamespacesIn(scope, scope.known);
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
    const troubledFirst = instances.toSorted((a, b) => Number(isWell(a)) - Number(isWell(b)));
    const ids = troubledFirst.slice(0, MAX_MEASURED).map(({ id }) => id);
    const { api, service } = this.#scope;
    const [details, edges] = await Promise.all([
      api.details(ids),
      fetchEdges(this.#scope),
      this.#refreshOtherNamespaces(),
    ]);
    this.#heartbeats = heartbeatsIn(details);
    this.#away = termsIn(details);
    const known = edges ?? [];
    this.#calls = sumOf(service === null ? known : known.filter(({ to }) => to === service));
    this.#edges = service === null ? [] : edgesOf(known, service);
  }

  async #refreshOtherNamespaces(): Promise<void> {
    if (!this.#scope.hasOtherNamespaces || systemTime.now() - this.#otherNamespacesAt < OTHER_NAMESPACES_EVERY_MS)
      return;
    this.#otherNamespacesAt = systemTime.now();
    const known = await this.#scope.api.everywhere().catch(() => null);
    if (known !== null) this.#otherNamespaces = otherNamespacesIn(this.#scope, known);
  }

  #draw(): void {
    const window = this.#shell.window();
    if (this.#isClosed || window === null) return;
    const { isLive, isSilent, lastMessageAt, revision, instances } = this.#overview();
    const lines = renderView(
      {
        url: this.#scope.api.url,
        isLive,
        isSilent,
        lastMessageAt,
        revision,
        instances,
        hasNamespaces: hasNamespaces(this.#scope, instances),
        heartbeats: this.#heartbeats,
        away: this.#away,
        otherNamespaces: this.#otherNamespaces,
        calls: this.#calls,
        edges: this.#edges,
      },
      {
        ...this.#shell.terminal,
        width: window.width,
        now: systemTime.wall(),
        rows: Math.max(1, window.height - FRAME_LINES - Math.min(this.#edges.length, trafficLines(window.height))),
        // the last line of the terminal is left free: a picture that is as high could not be drawn over
        lines: window.height - 1,
      },
    );
    this.#place.draw(lines, window.height);
  }
}
