import { isCallable } from '@rollcall/core';
import type { InstanceId } from '@rollcall/core';
import { namesOf } from '../../registry/namespaces.js';
import { ageText, countText } from '../../terminal/texts.js';
import type { CallEdge, CallTarget, Facts, InstanceFacts } from '../facts/facts.js';
import { command } from './command.js';
import { finding } from './finding.js';
import type { Diagnosis, Finding } from './finding.js';
import { remediesFor } from './fixes.js';
import { serviceNameOf } from './names.js';

/** Calls of a service to another fail: at least this number in the last window, and at least this share of them. */
const MIN_FAILED = 3;
const FAILED_RATIO = 0.1;
/** Most of the failed attempts went to one instance. */
const DOMINANT_RATIO = 0.8;
/** The maximum number of lines of evidence of one kind. */
const MAX_EVIDENCE = 5;

/** Calls between services: those that fail, and the circuits that callers keep open. */
export function diagnoseCalls(facts: Facts): Diagnosis {
  const { registry, calls, instances } = facts;
  if (registry === null) return { findings: [], fine: [], unchecked: [] };
  if (calls.kind === 'unread') {
    const why = `calls between services, because the request for them was not answered (${calls.why})`;
    return { findings: [], fine: [], unchecked: [why] };
  }
  const edges = calls.edges.filter((edge) => isInScope(edge, facts));
  if (edges.length === 0) {
    const unchecked = instances.length === 0 ? [] : ['calls between services, because no caller reported any recently'];
    return { findings: [], fine: [], unchecked };
  }
  const failing = edges.filter(isFailing).map((edge) => failingFinding(edge, facts));
  const open = circuitsIn(edges, facts).map((circuit) => circuitFinding(circuit, facts));
  return { findings: [...failing, ...open], fine: fineOf(edges, failing.length, open.length), unchecked: [] };
}

function fineOf(edges: readonly CallEdge[], failing: number, open: number): readonly string[] {
  const pairs = edges.length === 1 ? '1 pair of services' : `${edges.length} pairs of services`;
  return [
    ...(failing === 0 ? [`calls of ${pairs}: of none does one in ten fail`] : []),
    ...(open === 0 ? ['no caller keeps a circuit open'] : []),
  ];
}

/** The incoming and outgoing edges of a service, or the edges of an instance's callers. */
function isInScope({ namespace, from, to }: CallEdge, { scope, instances }: Facts): boolean {
  switch (scope.kind) {
    case 'all':
      return true;
    case 'namespace':
      return namespace === scope.namespace;
    case 'service':
      return (from === scope.service || to === scope.service) && [namespace, '*'].includes(scope.namespace);
    case 'instances':
      return instances.some(({ instance }) => instance.service === to && instance.namespace === namespace);
  }
}

// ---- calls that fail ------------------------------------------------------------------------------------------------

const isFailing = ({ calls, failures }: Pick<CallEdge, 'calls' | 'failures'>): boolean =>
  failures >= MIN_FAILED && failures >= FAILED_RATIO * calls;

function failingFinding(edge: CallEdge, facts: Facts): Finding {
  const { namespace, from, to, calls, failures, windowMs } = edge;
  const caller = serviceNameOf({ namespace, service: from }, facts);
  const callee = serviceNameOf({ namespace, service: to }, facts);
  const within = windowMs === null ? 'their last window' : `the last ${ageText(windowMs)}`;
  const count = facts.services.get(`${namespace}/${to}`);
  const noneCallable = noneCallableText(callee, count);
  return finding('calls-failing', {
    what: `${caller} → ${callee}: ${countText(failures)} of ${countText(calls)} calls failed in ${within}${noneCallable === '' ? '' : ` (${noneCallable})`}.`,
    services: [`${namespace}/${from}`, `${namespace}/${to}`],
    // a caller of another make may report more failures than calls
    share: Math.min(1, failures / Math.max(1, calls)),
    evidence: [
      `the registry says: ${instancesText(edge.callers)} of ${caller} reported it, last ${ageText(edge.ageMs)} ago`,
      ...(count === undefined
        ? []
        : [`the registry says: of ${callee} ${count.callable} of ${count.all} may be called`]),
      ...attemptsTexts(edge, facts),
    ],
    fix: noneCallable === '' ? failingFix(edge, facts) : noneCallableFix(callee, to, count !== undefined),
  });
}

const instancesText = (count: number): string => (count === 1 ? '1 instance' : `${count} instances`);

/** The reason why no call can be answered; empty: an instance may be called. */
function noneCallableText(callee: string, count: { readonly callable: number } | undefined): string {
  if (count === undefined) return `no instance of ${callee} is registered`;
  return count.callable === 0 ? `no instance of ${callee} may be called` : '';
}

function noneCallableFix(callee: string, service: string, isRegistered: boolean): readonly string[] {
  if (isRegistered)
    return [`see which instances may not be called, why, and how to undo it: ${command(`rollcall doctor ${callee}`)}`];
  return [
    `is it registered elsewhere, or under another name? ${command(`rollcall ls --all-namespaces --search ${service}`)}`,
    'if it does not run, start it',
  ];
}

const failingTargets = (targets: readonly CallTarget[]): readonly CallTarget[] =>
  targets.filter(({ failures }) => failures > 0).toSorted((a, b) => b.failures - a.failures);

function attemptsTexts(edge: CallEdge, facts: Facts): readonly string[] {
  const failed = failingTargets(edge.targets);
  const hidden = failed.length - MAX_EVIDENCE;
  return [
    ...failed
      .slice(0, MAX_EVIDENCE)
      .map((target) => `the registry says: at ${targetName(target, edge, facts)} ${attemptsText(target)}`),
    ...(hidden > 0 ? [`and at ${hidden} more of its instances`] : []),
  ];
}

function attemptsText({ attempts, failures }: CallTarget): string {
  if (attempts === null || attempts === 0) return `${countText(failures)} attempts failed`;
  const percent = Math.min(100, Math.round((100 * failures) / attempts));
  return `${countText(failures)} of about ${countText(Math.max(attempts, failures))} attempts failed (${percent} %)`;
}

function failingFix(edge: CallEdge, facts: Facts): readonly string[] {
  const [worst] = failingTargets(edge.targets);
  const all = edge.targets.reduce((sum, { failures }) => sum + failures, 0);
  const log = `which error is it? The log of ${edge.from} has it, and that of ${edge.to} what became of the call there`;
  if (worst === undefined) return [log];
  const isOne = edge.targets.length > 1 && worst.failures >= DOMINANT_RATIO * all;
  if (!isOne)
    return [
      log,
      `do all of them share something that fails, such as a database? ${command(`rollcall show ${worst.instance}`)}`,
    ];
  const name = targetName(worst, edge, facts);
  return [
    `most failures are at ${name}: look at its log, its database and its pools: ${command(`rollcall show ${worst.instance}`)}`,
    `take it out meanwhile: ${command(`rollcall drain ${worst.instance}`)}`,
  ];
}

/**
 * The printed name of the instance; one outside the scope is named by the instances that are called beside it.
 */
function targetName({ instance }: CallTarget, { namespace, to, targets }: CallEdge, facts: Facts): string {
  const known = facts.names.get(instance);
  if (known !== undefined) return known;
  const all = targets.map((target) => ({ id: target.instance, service: to, namespace }));
  return namesOf(all, facts.hasNamespaces).get(instance) ?? instance;
}

// ---- circuits -------------------------------------------------------------------------------------------------------

/** An instance, and its callers. */
interface Circuit {
  readonly id: InstanceId;
  readonly callers: readonly Caller[];
  /** Null: it is not in the scope. */
  readonly known: InstanceFacts | null;
}

interface Caller {
  readonly edge: CallEdge;
  readonly target: CallTarget;
}

/** The callable instances to which a caller keeps its circuit open. */
function circuitsIn(edges: readonly CallEdge[], facts: Facts): readonly Circuit[] {
  const callers = new Map<InstanceId, Caller[]>();
  for (const edge of edges) {
    for (const target of edge.targets) {
      const known = callers.get(target.instance);
      if (known === undefined) callers.set(target.instance, [{ edge, target }]);
      else known.push({ edge, target });
    }
  }
  const byId = new Map(facts.instances.map((instanceFacts) => [instanceFacts.instance.id, instanceFacts]));
  return [...callers]
    .filter(([, all]) => all.some(({ target }) => target.circuits.open > 0))
    .map(([id, all]): Circuit => ({ id, callers: all, known: byId.get(id) ?? null }))
    .filter((circuit) => isCalled(circuit, facts));
}

/** An instance that is gone or may not be called gets no calls: its circuits mean nothing. */
function isCalled({ callers, known }: Circuit, { scope, counts, omitted }: Facts): boolean {
  if (known !== null) return isCallable(known.instance);
  if (scope.kind === 'instances') return false;
  const isWhole = callers.every(({ edge }) => counts.has(`${edge.namespace}/${edge.to}`)) && omitted === 0;
  return !isWhole;
}

const keepsOpen = ({ target }: Caller): boolean => target.circuits.open > 0;
const isHealthy = ({ target: { circuits, attempts, failures } }: Caller): boolean =>
  circuits.open + circuits.halfOpen === 0 && !isFailing({ calls: attempts ?? 0, failures });

function circuitFinding({ id, callers, known }: Circuit, facts: Facts): Finding {
  const [first] = callers;
  const name = first === undefined ? id : targetName(first.target, first.edge, facts);
  const open = callers.filter(keepsOpen);
  const otherCallers = callers.filter((caller) => !keepsOpen(caller));
  const areOthersHealthy = otherCallers.length > 0 && otherCallers.every(isHealthy);
  const callee = first === undefined ? [] : [`${first.edge.namespace}/${first.edge.to}`];
  return finding('circuit-open', {
    what: `${open.map((caller) => openText(caller, facts)).join(', ')} keep their circuits to ${name} open.${areOthersHealthy ? ' Other callers: fine.' : ''}`,
    instances: [id],
    names: [name],
    services: [...callee, ...open.map(({ edge }) => `${edge.namespace}/${edge.from}`)],
    share: callableShare(first, facts),
    evidence: [
      ...callers
        .toSorted(openFirst)
        .slice(0, MAX_EVIDENCE)
        .map((caller) => callerText(caller, facts)),
      ...(callers.length > MAX_EVIDENCE ? [`and ${callers.length - MAX_EVIDENCE} more services call it`] : []),
      ...(known === null
        ? []
        : [`the registry says: ${name} is ${known.instance.state}: ${known.instance.reason.text}`]),
    ],
    fix: circuitFix({ id, callers, known }, areOthersHealthy, facts),
  });
}

/** The share of the service's instances that this one is. */
function callableShare(caller: Caller | undefined, { services }: Facts): number {
  const all = caller === undefined ? 0 : (services.get(`${caller.edge.namespace}/${caller.edge.to}`)?.all ?? 0);
  return all === 0 ? 0 : 1 / all;
}

const openFirst = (a: Caller, b: Caller): number => b.target.circuits.open - a.target.circuits.open;

function openText({ edge, target: { circuits } }: Caller, facts: Facts): string {
  const all = circuits.open + circuits.halfOpen + circuits.closed;
  const caller = serviceNameOf({ namespace: edge.namespace, service: edge.from }, facts);
  return `${circuits.open} of ${instancesText(all)} of ${caller}`;
}

function callerText({ edge, target }: Caller, facts: Facts): string {
  const { open, halfOpen, closed } = target.circuits;
  const circuits = [
    ...(open > 0 ? [`${open} open`] : []),
    ...(halfOpen > 0 ? [`${halfOpen} half-open`] : []),
    ...(closed > 0 ? [`${closed} closed`] : []),
  ];
  const caller = serviceNameOf({ namespace: edge.namespace, service: edge.from }, facts);
  return `the registry says: circuits of ${caller}: ${circuits.join(', ')}; ${attemptsText(target)}`;
}

function circuitFix({ id, callers, known }: Circuit, areOthersHealthy: boolean, facts: Facts): readonly string[] {
  const from = [...new Set(callers.filter(keepsOpen).map(({ edge }) => edge.from))].join(', ');
  const show = `which calls fail, and since when: ${command(`rollcall show ${id}`)}`;
  const [endpoint] = known?.instance.endpoints ?? [];
  if (!areOthersHealthy) {
    return [
      `calls fail there though its heartbeats work: look at its log, its database and its pools; take it out meanwhile: ${command(`rollcall drain ${id}`)}`,
      show,
    ];
  }
  const remedies = remediesFor(facts.registry?.container ?? null);
  return [
    `others reach it, so look at what ${from} alone asks of it, and at the network between: its log has the error`,
    ...(endpoint === undefined ? [] : [remedies.tryPort(endpoint.host, endpoint.port, `from a machine of ${from}`)]),
    show,
  ];
}
