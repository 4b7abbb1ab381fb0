import type { Look } from '../terminal/paint.js';
import type { Terminal } from '../terminal/shell.js';
import type { Facts } from './facts/facts.js';
import { GRAVITIES } from './findings/finding.js';
import type { Diagnosis, Finding, Gravity } from './findings/finding.js';
import { nameOf, serviceNameOf } from './findings/names.js';
import { entriesOf, isGroup } from './groups.js';
import type { Group } from './groups.js';
import { Page } from './page.js';

const SIGNS: Readonly<Record<Gravity, { readonly sign: string; readonly look: Look; readonly label: string }>> = {
  broken: { sign: '✕', look: 'critical', label: 'broken' },
  risk: { sign: '▲', look: 'unhealthy', label: 'at risk' },
  note: { sign: '◌', look: 'registering', label: 'to know' },
};
const HEALTHY_SIGN = { sign: '●', look: 'healthy' } as const;

/** A report of more lines has its verdict at the end, too, as its first line has scrolled away. */
const MAX_LINES_WITHOUT_SUMMARY = 24;
/** Lines of the summary at the end. */
const MAX_SUMMARY_LINES = 3;
/**
 * The maximum lines of evidence, and of fixes, of one entry if there are many findings: the guide, or a narrower scope,
 * has the rest.
 */
const MAX_EVIDENCE = 2;
const MAX_FIXES = 4;

/** The scope of the report. */
export type ReportScope = Pick<
  Facts,
  'url' | 'registry' | 'scope' | 'services' | 'instances' | 'omitted' | 'hasNamespaces' | 'names'
>;

/** The diagnosis as lines of text. */
export function renderDiagnosis(reportScope: ReportScope, diagnosis: Diagnosis, terminal: Terminal): readonly string[] {
  const { findings, fine, unchecked } = diagnosis;
  const page = new Page(terminal);
  const { sign, look } = signOf(findings);
  page.add(sign, look, verdictText(reportScope, findings), 'strong');
  const entries = entriesOf(findings, reportScope.services);
  const isGrouped = entries.some(isGroup);
  for (const entry of entries) {
    page.gap();
    if (isGroup(entry)) addGroup(page, entry);
    else addFinding(page, entry, isGrouped);
  }
  if (isGrouped) {
    page.gap();
    page.list('more', ['why each matters, by its code in brackets: docs/guide/troubleshooting.md']);
  }
  if (fine.length > 0) page.gap();
  page.list('well', isGrouped ? [`${fine.length} other checks found nothing; -o json lists them`] : fine, {
    look: 'healthy',
  });
  if (unchecked.length > 0) page.gap();
  page.list('not checked', unchecked);
  if (page.lines.length > MAX_LINES_WITHOUT_SUMMARY && findings.length > 0) addSummary(page, reportScope, findings);
  return page.lines;
}

function signOf(findings: readonly Finding[]): { readonly sign: string; readonly look: Look } {
  const worst = GRAVITIES.find((gravity) => findings.some((finding) => finding.gravity === gravity));
  return worst === undefined ? HEALTHY_SIGN : SIGNS[worst];
}

function addFinding(page: Page, finding: Finding, isGrouped: boolean): void {
  const { sign, look } = SIGNS[finding.gravity];
  page.add(sign, look, isGrouped ? `${finding.what} [${finding.code}]` : finding.what, 'strong');
  page.list('seen', isGrouped ? finding.evidence.slice(0, MAX_EVIDENCE) : finding.evidence);
  addRemedy(page, finding, isGrouped);
}

function addGroup(page: Page, { first, what, listed, areNames, hiddenCount, command, example }: Group): void {
  const { sign, look } = SIGNS[first.gravity];
  page.add(sign, look, `${what} [${first.code}]`, 'strong');
  page.list('at', areNames ? [listed.join(', ')] : listed);
  if (hiddenCount > 0) page.list('', [`and ${hiddenCount} more: ${command}`], { commands: [command] });
  page.list('seen', [`for example ${example}:`, ...first.evidence.slice(0, MAX_EVIDENCE)]);
  addRemedy(page, first, true);
}

function addRemedy(page: Page, { why, fix, commands, link }: Finding, isGrouped: boolean): void {
  if (!isGrouped) page.list('why', [why]);
  page.list('fix', isGrouped ? shortenList(fix) : fix, { commands });
  if (!isGrouped) page.list('more', [link]);
}

/** Further texts are listed if there are few findings. */
function shortenList(texts: readonly string[]): readonly string[] {
  const hidden = texts.length - MAX_FIXES;
  return hidden <= 1 ? texts : [...texts.slice(0, MAX_FIXES), `and ${hidden} more`];
}

// ---- the verdict ----------------------------------------------------------------------------------------------------

/** One sentence: how much is wrong, and how bad that is; where only a part was looked at, that too. */
export function verdictText(reportScope: ReportScope, findings: readonly Finding[]): string {
  const subject = subjectOf(reportScope);
  const about = subject === null ? reportScope.url : `${subject} and the registry at ${reportScope.url}`;
  const elsewhere = subject === null ? '' : ' Elsewhere was not looked at.';
  if (findings.length === 0) return `Nothing is wrong with ${about}, as far as can be seen from here.${elsewhere}`;
  const counts = GRAVITIES.map((gravity) => ({
    label: SIGNS[gravity].label,
    count: findings.filter((finding) => finding.gravity === gravity).length,
  })).filter(({ count }) => count > 0);
  const parts = counts.map(({ label, count }) => `${count} ${label}`).join(', ');
  return `${findings.length} ${findings.length === 1 ? 'finding' : 'findings'} about ${about}: ${parts}.${elsewhere}`;
}

/** The part of the registry that was checked; null: all of it, or unknown. */
function subjectOf(reportScope: ReportScope): string | null {
  const { registry, scope, instances, omitted } = reportScope;
  if (registry === null || scope.kind === 'all') return null;
  const size = instances.length + omitted;
  const count = `${size} ${size === 1 ? 'instance' : 'instances'}`;
  if (scope.kind === 'namespace') return `namespace ${scope.namespace} (${count})`;
  if (scope.kind === 'instances') return instances.map(({ instance }) => nameOf(instance, reportScope)).join(', ');
  const names = new Set(instances.map(({ instance }) => serviceNameOf(instance, reportScope)));
  return `${names.size === 0 ? scope.service : [...names].join(', ')} (${count})`;
}

/** At most three lines: the verdict, the lost services, and the counts of findings. */
function addSummary(page: Page, reportScope: ReportScope, findings: readonly Finding[]): void {
  const { sign, look } = signOf(findings);
  page.gap();
  const begin = page.lines.length;
  page.add(sign, look, verdictText(reportScope, findings), 'strong');
  const lost = findings.filter(({ code }) => code === 'nobody-callable').flatMap(({ services }) => services);
  const names = lost.map((key) => (reportScope.hasNamespaces ? key : key.slice(key.indexOf('/') + 1)));
  const counts = new Map<string, number>();
  for (const { code } of findings) counts.set(code, (counts.get(code) ?? 0) + 1);
  const codes = [...counts].map(([code, count]) => (count === 1 ? code : `${code} ${count}`));
  const room = page.width - 2;
  if (names.length > 0)
    page.add(' ', look, fittingText({ before: 'No callable instance: ', items: names }, room), 'strong');
  if (codes.length > 1 && page.lines.length < begin + MAX_SUMMARY_LINES)
    page.add(' ', look, fittingText({ before: 'Worst first: ', items: codes }, room), 'faint');
}

/** Lists the items that fit, at least one, and counts the others. */
function fittingText(
  { before, items }: { readonly before: string; readonly items: readonly string[] },
  room: number,
): string {
  const textOf = (count: number): string => {
    const hiddenCount = items.length - count;
    return `${before}${items.slice(0, count).join(', ')}${hiddenCount === 0 ? '' : ` and ${hiddenCount} more`}.`;
  };
  let count = items.length;
  while (count > 1 && textOf(count).length > room) count -= 1;
  return textOf(count);
}
