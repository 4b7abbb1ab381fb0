/** The output of `rollcall ls`, by format. */
import { addressOf } from '@rollcall/core';
import type { Instance, InstanceId } from '@rollcall/core';
import { wrapped } from '../terminal/columns.js';
import { jsonText } from '../terminal/json-text.js';
import { paint } from '../terminal/paint.js';
import type { Span } from '../terminal/paint.js';
import type { Shell, Window } from '../terminal/shell.js';
import { aligned, countText, printable } from '../terminal/texts.js';
import { callableWord, isWell, renderTable, worstFirst } from './instance-table.js';
import type { Screen, View } from './instance-table.js';
import { countsOf, isAway, shortageLines } from './outages.js';
import { rowText } from './row-text.js';
import { verdictOf } from './view.js';

export const FORMATS = ['table', 'wide', 'json', 'name'] as const;

/** The maximum number of instances that a terminal shows: more would scroll away. */
export const MAX_LISTED = 200;
/** The maximum number of services above the table that are not fully callable. */
const MAX_SHORTAGES = 10;

export interface Listing {
  readonly view: View;
  readonly format: (typeof FORMATS)[number];
  /** True if nothing is left out on a terminal. */
  readonly isAll: boolean;
  /** True for a list of one service, whose instances are not folded. */
  readonly isOneService: boolean;
  /** The number of circuits to each instance that are not closed; null: unknown. */
  readonly open: ReadonlyMap<InstanceId, number> | null;
}

/** The lines on standard output. On a terminal they end with the verdict if its first line has scrolled away. */
export function renderListing(listing: Listing, shell: Shell): readonly string[] {
  const { view, format } = listing;
  switch (format) {
    case 'json':
      return [jsonOf(listing)];
    case 'name':
      return view.instances.map(({ id }) => id);
    case 'table':
      return tableLines(listing, shell);
    case 'wide':
      return wideLines(listing, shell);
  }
}

// ---- for people -----------------------------------------------------------------------------------------------------

function tableLines({ view, isAll, isOneService }: Listing, shell: Shell): readonly string[] {
  const window = shell.window();
  // a pipe, or a file, gets whole lines
  const width = window?.width ?? Infinity;
  const screen: Screen = { ...shell.terminal, width, now: Date.now(), rows: Infinity, isWhole: true };
  const { instances, hasNamespaces, isPartial = false, isSorted = false } = view;
  const maxServices = window === null || isAll ? Infinity : MAX_SHORTAGES;
  const shortages = isPartial ? [] : shortageLines(instances, { hasNamespaces, width, maxServices });
  const head = shortages.map((text) => paint([{ text }], screen));
  if (window === null) return [...head, ...renderTable(view, screen)];
  if (isAll) return withVerdict([...head, ...renderTable(view, screen)], view, { screen, window });
  const plain = renderTable(view, { ...screen, maxInstances: MAX_LISTED });
  const isHigh = head.length + plain.length >= window.height;
  const isFolded = isHigh && !isSorted && !isPartial && !isOneService && instances.filter(isWell).length > 1;
  const rows = isFolded ? renderTable(view, { ...screen, maxInstances: MAX_LISTED, rows: 0 }) : plain;
  const hint = isFolded || instances.length > MAX_LISTED ? [hintOf(instances.length, screen)] : [];
  return withVerdict([...head, ...rows, ...hint], view, { screen, window });
}

const hintOf = (count: number, screen: Screen): string =>
  paint([{ text: `--all shows all ${countText(count)}; filters show fewer`, look: 'faint' }], screen);

interface VerdictPlacement {
  readonly screen: Screen;
  readonly window: Window;
}

/** A selection of the instances has none. */
function withVerdict(lines: readonly string[], view: View, { screen, window }: VerdictPlacement): readonly string[] {
  if (lines.length < window.height || view.isPartial === true) return lines;
  const verdict = verdictOf(view, Infinity)
    .map(({ text }) => text)
    .join('');
  return [...lines, ...wrapped(verdict, screen.width).map((text) => paint([{ text, look: 'strong' }], screen))];
}

function wideLines({ view, isAll, open }: Listing, shell: Shell): readonly string[] {
  const { instances, hasNamespaces = false, isSorted = false, isPartial = false } = view;
  const window = shell.window();
  const now = Date.now();
  const rowsOf = (shown: readonly Instance[]): readonly string[] =>
    aligned([
      wideRow(WIDE_HEAD, hasNamespaces),
      ...shown.map((instance) => wideRow(wideCells(instance, { view, open, now }), hasNamespaces)),
    ]);
  if (window === null) return rowsOf(instances);
  const screen: Screen = { ...shell.terminal, width: window.width, now, rows: Infinity };
  if (isAll || instances.length <= MAX_LISTED) return withVerdict(rowsOf(instances), view, { screen, window });
  const sorted = isSorted ? instances : worstFirst(instances, isPartial ? [] : instances);
  const hiddenText: readonly Span[] = [
    { text: `… and ${countText(instances.length - MAX_LISTED)} more; narrow it down, or --all` },
  ];
  return withVerdict([...rowsOf(sorted.slice(0, MAX_LISTED)), paint(hiddenText, screen)], view, { screen, window });
}

const WIDE_HEAD = [
  'STATE',
  'NAMESPACE',
  'ID',
  'ADDRESSES',
  'VERSION',
  'ADMIN',
  'ZONE',
  'CALLABLE',
  'WEIGHT',
  'CIRCUIT',
  'REASON',
];

const wideRow = ([state = '', namespace = '', ...rest]: readonly string[], hasNamespaces: boolean): readonly string[] =>
  hasNamespaces ? [state, namespace, ...rest] : [state, ...rest];

interface WideContext extends Pick<Listing, 'view' | 'open'> {
  readonly now: number;
}

function wideCells(instance: Instance, { view, open, now }: WideContext): readonly string[] {
  const { admin, state, namespace, id, endpoints, version, zone, weight } = instance;
  const addresses = endpoints.map((endpoint) => `${endpoint.protocol}://${addressOf(endpoint)}`);
  const versionText = version === '' ? '–' : printable(version);
  const circuits = open?.get(id) ?? 0;
  const circuit = circuits === 0 ? '–' : `open:${circuits}`;
  const facts = [versionText, admin, zone || '–', callableWord(instance), String(weight), circuit];
  return [state, namespace, id, addresses.join(','), ...facts, reasonOf(instance, view, now)];
}

function reasonOf(instance: Instance, { away }: View, now: number): string {
  if (!isAway(instance)) return printable(instance.reason.text);
  const { sentence, evidence, next } = rowText(instance, { now, staleAt: null, terms: away?.get(instance.id) });
  return [sentence, evidence, next].filter((text) => text !== '').join(' ');
}

// ---- for programs ---------------------------------------------------------------------------------------------------

function jsonOf({ view, open }: Listing): string {
  const { url, revision, instances, heartbeats, away, isPartial = false } = view;
  return jsonText({
    url,
    revision,
    ...(isPartial ? {} : { services: servicesOf(instances) }),
    instances: instances.map((instance) => {
      const { heartbeat1 = null, heartbeat2 = null } = heartbeats.get(instance.id) ?? {};
      return {
        ...instance,
        heartbeats: { heartbeat1, heartbeat2 },
        adminTerms: away?.get(instance.id) ?? null,
        ...(open === null ? {} : { circuitsOpen: open.get(instance.id) ?? 0 }),
      };
    }),
  });
}

/** Services with the same name in two namespaces are two. */
function servicesOf(instances: readonly Instance[]): readonly object[] {
  return [...countsOf(instances, true)].map(([key, { all, callable, admin }]) => {
    const [namespace, name] = key.split('/');
    return { namespace, name, instances: all, callable, admin };
  });
}
