import { addressOf } from '@rollcall/core';
import type { Instance, OverrideTerms, RegistryEvent } from '@rollcall/core';
import { apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../registry/connection.js';
import { numberAt } from '../registry/json.js';
import type { Json } from '../registry/json.js';
import { eventsIn, heartbeatsOf } from '../registry/registry-api.js';
import type { RegistryApi } from '../registry/registry-api.js';
import { noInstanceError, resolveInstance } from '../registry/resolve-instance.js';
import { edgesIn, p99Text, successText } from '../registry/traffic.js';
import type { Edge, Target } from '../registry/traffic.js';
import { eventText } from '../render/event-text.js';
import { awayText, overrideTerms, untilText } from '../render/override-terms.js';
import { heartbeatPicture, pictureHeading } from '../render/picture.js';
import { AWAY, stateLook, stateShape } from '../render/state-shapes.js';
import { describeFlags, parseArguments, toggle } from '../terminal/arguments.js';
import { fitted, shortenedName, wrapped } from '../terminal/columns.js';
import { OUTPUT_FLAG } from '../terminal/formats.js';
import { jsonText } from '../terminal/json-text.js';
import { momentText } from '../terminal/moments.js';
import { requireOperands } from '../terminal/operands.js';
import { paint } from '../terminal/paint.js';
import type { Span } from '../terminal/paint.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';
import { ageText, explainReason, nextText, printable, shortName } from '../terminal/texts.js';

/** Columns of the picture beside the name, with the longest text at its wire. */
const PICTURE_WIDTH = 60;
const MIN_NAME_WIDTH = 13;

const FLAGS = { ...OUTPUT_FLAG, ...NAMESPACE_FLAG, ...CONNECTION_FLAGS, '--help': toggle('this text', 'h') };

const HELP = `Usage: rollcall show <id> [options]

One instance: its state, why, since when and what comes next; both heartbeats as a picture (Heartbeat-1 is the registry's call, above,
Heartbeat-2 the instance's, below); its facts; its callers; its recent events. The id may be short, as it is printed: orders…1e07,
orders-1e07, or a unique end of an id.

${describeFlags(FLAGS).join('\n')}

Examples:
  rollcall show orders…1e07
  rollcall show 1e07 -o json`;

/** `rollcall show`: everything about one instance. */
export const show: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(FLAGS, argv);
  const [typed = ''] = requireOperands('show <id>', operands, 1);
  const { id, api } = await resolveInstance(typed, await apiOf(flags, shell.env), 'allowed');
  const [found, timeline] = await Promise.all([api.instance(id), api.timeline(id).catch(() => null)]);
  const events = eventsIn(timeline);
  if (found === null && events.length === 0) throw noInstanceError(typed, [], api.url);
  const calls = found === null ? [] : await callersOf(api, String(found['service']), id);
  if (flags['--output'] === 'json') shell.out(renderJson({ id, found, calls, events }));
  else for (const line of renderPage({ api, id, found, calls, events }, shell)) shell.out(line);
  return EXIT.done;
}

/** A service that calls this one, and its calls to this instance (undefined: none recently). */
interface Caller {
  readonly edge: Edge;
  readonly target: Target | undefined;
}

async function callersOf(api: RegistryApi, service: string, id: string): Promise<readonly Caller[]> {
  const topology = await api.topology().catch(() => null);
  if (topology === null) return [];
  const edges = edgesIn(topology).filter(({ to }) => to === service);
  return edges.map((edge) => ({ edge, target: edge.targets.find(({ instance }) => instance === id) }));
}

interface InstanceReport {
  readonly id: string;
  /** Null: it was removed. */
  readonly found: Json | null;
  readonly calls: readonly Caller[];
  readonly events: readonly RegistryEvent[];
}

function renderJson({ id, found, calls, events }: InstanceReport): string {
  const callers = calls.map(({ edge, target }) => ({
    service: edge.from,
    callsPerSecond: target?.perSecond ?? 0,
    failures: target?.failures ?? 0,
    p99Ms: target?.p99Ms ?? null,
    circuitsOpen: target?.circuitsOpen ?? 0,
  }));
  return jsonText({ id, instance: found, callers, events });
}

function renderPage(
  { api, id, found, calls, events }: InstanceReport & { readonly api: RegistryApi },
  shell: Shell,
): readonly string[] {
  const now = Date.now();
  // a pipe, or a file, gets whole lines
  const width = shell.window()?.width ?? Infinity;
  const lines = (of: readonly (readonly Span[])[]): readonly string[] =>
    of.map((line) => paint(line, { ...shell.terminal, width }));
  const past = section('Timeline', timelineRows(events), width);
  if (found === null) {
    const [last] = events.slice(-1);
    const removed = wrapped(`${id}  was ${last === undefined ? 'removed' : eventText(last)}.`, width);
    return lines([...removed.map((text): readonly Span[] => [{ text, look: 'strong' }]), ...past]);
  }
  const instance = api.instanceIn(found);
  const beats = heartbeatsOf(found['heartbeats']);
  const name = shortenedName(shortName(instance, [instance]), Math.max(MIN_NAME_WIDTH, width - PICTURE_WIDTH));
  return lines([
    ...stateLines({
      instance,
      name,
      shape: stateShape(instance),
      away: overrideTerms(found, 'admin'),
      now,
      width,
    }),
    [],
    [{ text: pictureHeading(instance, beats), look: 'strong' }],
    ...heartbeatPicture(instance, name, beats, now),
    ...section('Facts', factRows(instance, found), width),
    ...section('Callers', callerRows(calls), width),
    ...past,
  ]);
}

interface StateLinesInput {
  readonly instance: Instance;
  readonly name: string;
  readonly shape: string;
  /** The operator's setting that keeps it from callers, as far as known; null: unknown. */
  readonly away: OverrideTerms | null;
  readonly now: number;
  readonly width: number;
}

/** The setting of the operator, unless it is the default; state, reason, since, next. */
function stateLines({ instance, name, shape, away, now, width }: StateLinesInput): readonly (readonly Span[])[] {
  const { state, since, reason, admin } = instance;
  const { sentence, evidence } = explainReason(reason);
  const next = nextText(instance, now);
  const why = evidence === '' ? sentence : `${sentence.replace(/\.$/, '')}: ${evidence}.`;
  const look = stateLook(state);
  const awayAgeText = away === null ? '' : ` for ${ageText(now - away.since)}`;
  const lines: readonly (readonly Span[])[] = [
    [
      { text: admin === 'ENABLED' ? shape : AWAY.shape, look: admin === 'ENABLED' ? look : AWAY.look },
      { text: ` ${name}  `, look: 'strong' },
      ...(admin === 'ENABLED' ? [] : [{ text: admin, look: AWAY.look }, { text: `${awayAgeText}, its state: ` }]),
      { text: state, look },
      { text: `  for ${ageText(now - since)}` },
    ],
    ...wrapped(`${why}${next === '' ? '' : ` ${next}.`}`, width).map((text) => [{ text }]),
  ];
  if (admin === 'ENABLED') return lines;
  const [head = [], ...remaining] = lines;
  const awayLine = `It gets no calls: ${awayText(admin, away, now)}. Back: rollcall undrain ${instance.id}`;
  return [head, ...wrapped(awayLine, width).map((text): readonly Span[] => [{ text, look: 'strong' }]), ...remaining];
}

type Row = readonly string[];

function section(title: string, rows: readonly Row[], width: number): readonly (readonly Span[])[] {
  if (rows.length === 0) return [];
  return [[], [{ text: title, look: 'faint' }], ...fitted(rows, width - 2).map((text) => [{ text: `  ${text}` }])];
}

function factRows(instance: Instance, found: Json): readonly Row[] {
  const ownWeight = numberAt(found, 'own', 'weight');
  const weight =
    ownWeight === null || ownWeight === instance.weight
      ? String(instance.weight)
      : `${instance.weight}, by an operator${untilText(overrideTerms(found, 'weight'))}; its own is ${ownWeight}`;
  const terms = overrideTerms(found, 'admin');
  const reason = printable(terms?.reason ?? '');
  const admin = `${instance.admin}${reason === '' ? '' : ` (${reason})`}${untilText(terms)}`;
  const metadata = Object.entries(instance.metadata).map(([key, value]) => `${printable(key)}=${printable(value)}`);
  return [
    ['id', instance.id],
    ['namespace', instance.namespace],
    [
      'address',
      instance.endpoints
        .map((endpoint) => `${endpoint.protocol}://${addressOf(endpoint)}${endpoint.tls ? ' (TLS)' : ''}`)
        .join(', '),
    ],
    ['version', instance.version === '' ? '–' : printable(instance.version)],
    ['zone', instance.zone === '' ? '–' : instance.zone],
    ['weight', weight],
    ['wanted', admin],
    ['metadata', metadata.length === 0 ? '–' : metadata.join(' ')],
    ['registered', momentText(instance.registeredAt, Date.now())],
    ['falls', `${Math.round(numberAt(found, 'falls') ?? 0)} recently`],
    ['revision', String(instance.revision)],
  ];
}

function callerRows(calls: readonly Caller[]): readonly Row[] {
  return calls.map(({ edge, target }) =>
    target === undefined
      ? [edge.from, 'not recently', '', '', '']
      : [
          edge.from,
          `${target.perSecond.toFixed(1)}/s`,
          `success ${successText({ calls: attemptsOf(edge, target), failures: target.failures })}`,
          p99Text(target),
          target.circuitsOpen === 0 ? 'circuit closed' : `circuit open at ${target.circuitsOpen}`,
        ],
  );
}

/** The target does not report its window: it is that of the edge. */
function attemptsOf({ calls, perSecond }: Edge, target: Target): number {
  const seconds = perSecond === 0 ? 0 : calls / perSecond;
  return Math.max(target.failures, Math.round(target.perSecond * seconds));
}

function timelineRows(events: readonly RegistryEvent[]): readonly Row[] {
  return events.map((event) => [momentText(event.at, Date.now()), event.state ?? event.kind, eventText(event)]);
}
