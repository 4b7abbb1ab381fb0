import type { ServiceCount } from './facts/facts.js';
import type { Finding, FindingCode } from './findings/finding.js';

/** The maximum number of findings of one code that are shown singly. */
const MAX_SINGLE = 2;
/** The maximum number of names, or findings, of a group that are listed. */
const MAX_LISTED = 10;

/** Findings of one code that are shown as one entry. */
export interface Group {
  /** The worst of them: its evidence and fix are shown. */
  readonly first: Finding;
  /** The number of findings. */
  readonly size: number;
  /** The problem, in one sentence. */
  readonly what: string;
  /** The subjects, worst first: names that other commands accept, or sentences. */
  readonly listed: readonly string[];
  /** True if these are names, which fit beside each other. */
  readonly areNames: boolean;
  /** The number of names that are not listed. */
  readonly hiddenCount: number;
  /** The command that lists those, too. */
  readonly command: string;
  /** The subject of the shown evidence and fix. */
  readonly example: string;
}

/** In the order of the first of each code; a single finding is an entry of its own. */
export function entriesOf(
  findings: readonly Finding[],
  services: ReadonlyMap<string, ServiceCount>,
): readonly (Finding | Group)[] {
  const byCode = new Map<FindingCode, Finding[]>();
  for (const finding of findings) {
    const known = byCode.get(finding.code);
    if (known === undefined) byCode.set(finding.code, [finding]);
    else known.push(finding);
  }
  return [...byCode.values()].flatMap((all): readonly (Finding | Group)[] => {
    const [first] = all;
    return first === undefined || all.length <= MAX_SINGLE ? all : [groupOf(first, all, services)];
  });
}

export const isGroup = (entry: Finding | Group): entry is Group => 'first' in entry;

function groupOf(first: Finding, all: readonly Finding[], services: ReadonlyMap<string, ServiceCount>): Group {
  const sentence = SENTENCES[first.code];
  const names = sentence === undefined ? all.map(({ what }) => what) : namesIn(all, services);
  const listed = names.slice(0, MAX_LISTED);
  return {
    first,
    size: all.length,
    what: sentence?.(subjectText(all)) ?? `${all.length} × ${first.code}.`,
    listed,
    areNames: sentence !== undefined,
    hiddenCount: names.length - listed.length,
    command: COMMANDS[first.code] ?? 'rollcall doctor -o json',
    example: first.names[0] ?? first.what,
  };
}

/** `12 instances of 5 services` */
function subjectText(all: readonly Finding[]): string {
  const instances = new Set(all.flatMap((finding) => finding.instances));
  const services = new Set(all.flatMap((finding) => finding.services.slice(0, 1)));
  const [only] = services;
  const of = services.size === 1 && only !== undefined ? only : `${services.size} services`;
  return `${instances.size} ${instances.size === 1 ? 'instance' : 'instances'} of ${of}`;
}

/** The names of the instances; a service with all its instances is named instead of them. */
function namesIn(all: readonly Finding[], services: ReadonlyMap<string, ServiceCount>): readonly string[] {
  const byService = new Map<string, Set<string>>();
  for (const {
    services: [key = ''],
    names,
  } of all) {
    const known = byService.get(key) ?? new Set();
    byService.set(key, known);
    for (const name of names) known.add(name);
  }
  return [...byService].flatMap(([key, names]) => {
    const count = services.get(key)?.all;
    return names.size > 1 && names.size === count ? [`${key} (all ${count})`] : [...names];
  });
}

type Sentence = (names: string) => string;

/** The problem of many instances in one sentence. The findings of other codes are listed each with its own sentence. */
const SENTENCES: Partial<Readonly<Record<FindingCode, Sentence>>> = {
  'circuit-open': (names) => `Callers keep their circuits to ${names} open.`,
  'port-not-listening': (names) => `No process listens at the addresses of ${names}.`,
  'not-reachable-from-registry': (names) => `${names} are reached from here, and not from the registry.`,
  'heartbeat-1-unanswered': (names) => `${names} do not answer Heartbeat-1.`,
  'heartbeats-lost': (names) => `${names} answer some heartbeats and not others.`,
  'heartbeat-2-missing': (names) => `${names} answer Heartbeat-1 but send no Heartbeat-2.`,
  'address-taken': (names) => `Other processes answer at the addresses of ${names}.`,
  'address-shared': (names) => `${names} share their addresses with other processes, which answer in turns with them.`,
  'shutdown-hooks-off': (names) => `${names} do not handle SIGTERM, so that ends them in the middle of their requests.`,
  'stale-copy': (names) => `${names} send heartbeats but hold no change feed.`,
  flapping: (names) => `${names} fall again and again.`,
};

const TROUBLED_COMMAND = 'rollcall ls --all-namespaces --state UNHEALTHY --state CRITICAL';
/** The command that lists all instances of a finding, if there is one. */
const COMMANDS: Partial<Readonly<Record<FindingCode, string>>> = {
  'nobody-callable': 'rollcall ls --all-namespaces --callable no',
  'port-not-listening': TROUBLED_COMMAND,
  'not-reachable-from-registry': TROUBLED_COMMAND,
  'heartbeat-1-unanswered': TROUBLED_COMMAND,
  'heartbeat-2-missing': TROUBLED_COMMAND,
};
