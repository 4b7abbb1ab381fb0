import { printableText } from '@rollcall/core';
import type { ServiceState } from '../telemetry/events.js';
import type { Explanation, InstanceExplanation, PickExplanation, ProtocolExplanation } from './explain.js';

/** An explanation in sentences and two small tables, for an operator. Lines are at most about 150 characters long when names are short. */
export function explainText(explanation: Explanation): string {
  const { protocols } = explanation;
  const lines = [headline(explanation)];
  if (protocols.length === 0) lines.push('This process has not called it yet and has no measurements of its own.');
  for (const protocol of protocols) lines.push('', ...protocolLines(protocol, explanation.service));
  return lines.join('\n');
}

const STATUS_TEXT: Readonly<Record<Explanation['status'], string>> = {
  waiting: 'no report from the registry yet',
  known: 'known to the registry',
  unknown: 'not known to the registry',
};

function headline({ service, status, isStale, callsUnderWay, retriesLeft }: Explanation): string {
  const copy = isStale ? ', but the registry is unreachable and our copy may be outdated' : '';
  return `${service}: ${STATUS_TEXT[status]}${copy}. Calls under way: ${callsUnderWay}. Retries left in the budget: ${retriesLeft}.`;
}

const STATE_TEXT: Readonly<Record<ServiceState, string>> = {
  CLOSED: 'all well',
  DEGRADED: 'some instances are ejected here after failing; the others take their calls',
  OPEN: 'no instance can be called',
};

function protocolLines(lane: ProtocolExplanation, service: string): readonly string[] {
  const { protocol, balancer, state, tierInUse, instances, picks } = lane;
  const used = tierInUse === null ? '' : ` Calls go to tier ${tierInUse} (lower is better) by ${balancer}.`;
  const head = `Over ${protocol}: ${state}, ${STATE_TEXT[state]}.${used}${pendingText(lane)}`;
  if (instances.length === 0) return [head, `  No instance of ${service} offers ${protocol}.`];
  const rows = instances.map((instance) => instanceRow(instance, tierInUse));
  const table = [['instance', 'address', 'tier', 'registry state', 'under way', 'load', 'p99', 'here'], ...rows];
  return [head, ...aligned(table), LEGEND, ...pickLines(picks)];
}

function pendingText({ callsPending, pendingForMs }: ProtocolExplanation): string {
  if (callsPending === 0) return '';
  return ` Calls that wait for an instance: ${callsPending}, the oldest for ${pendingForMs ?? 0} ms.`;
}

const LEGEND =
  ' (under way: current calls, and how many the instance may have at once. load: what the balancer compares, lower is better.)';

function instanceRow(instance: InstanceExplanation, tierInUse: number | null): readonly string[] {
  const { id, address, tier, state, admin, callsUnderWay, limit, load, p99Ms } = instance;
  return [
    id,
    address,
    tier === null ? '-' : String(tier),
    admin === 'ENABLED' ? state : `${state}, ${admin}`,
    `${callsUnderWay} of ${limit === Infinity ? 'any' : limit}`,
    String(load),
    p99Ms === null ? '-' : `${roundMs(p99Ms)} ms`,
    statusText(instance, tierInUse),
  ];
}

/** Why the instance gets calls or not, the most important reason first. */
function statusText(instance: InstanceExplanation, tierInUse: number | null): string {
  const { tier, ejected, nextProbeInMs, gate, warmth, isPreferred } = instance;
  const reason = printableText(instance.reason);
  if (tier === null) return `never called: ${reason}`;
  if (ejected !== null) {
    const why = ejected === 'absent' ? 'no connection to it succeeded' : 'it failed too often';
    const next = nextProbeInMs === null ? 'a probe is under way' : `probed in ${nextProbeInMs} ms`;
    return `ejected: ${why}; ${next}`;
  }
  if (tierInUse !== null && tier > tierInUse) return `unused: better instances have room (${reason})`;
  if (!isPreferred) return 'unused: others are in our zone or subset';
  if (warmth < 1) return `starts slowly: ${Math.round(warmth * 100)} % of its share`;
  return gate === 'open' || gate.startsWith('limited') ? 'gets calls' : gate;
}

function pickLines(picks: readonly PickExplanation[]): readonly string[] {
  if (picks.length === 0) return ['  No attempt has been made yet.'];
  const rows = picks.map((pick) => [
    `${pick.msAgo} ms ago`,
    pick.instance,
    `tier ${pick.tier}`,
    pickText(pick),
    pick.outcome === null ? 'under way' : `${pick.outcome} after ${pick.tookMs ?? 0} ms`,
  ]);
  return [`  The last ${picks.length === 1 ? 'attempt' : `${picks.length} attempts`}:`, ...aligned(rows)];
}

const REASON_TEXT: Readonly<Record<PickExplanation['reason'], string>> = {
  first: 'first attempt',
  retry: 'retry, another attempt failed or was too slow',
  hedge: 'hedge, beside a slow attempt',
};

function pickText({ reason, isProbe }: PickExplanation): string {
  return isProbe ? `${REASON_TEXT[reason]}, and a probe of an ejected instance` : REASON_TEXT[reason];
}

function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, cell.length)));
  return rows.map((row) => `    ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd());
}

function roundMs(ms: number): number {
  return ms >= 10 ? Math.round(ms) : Math.round(ms * 10) / 10;
}
