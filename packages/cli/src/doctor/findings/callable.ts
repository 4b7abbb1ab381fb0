import { isOutage, notCallableText } from '@rollcall/core';
import type { CallableCount, OverrideTerms } from '@rollcall/core';
import { isAway, serviceIn } from '../../render/outages.js';
import { awayText, untilText } from '../../render/override-terms.js';
import { explainReason, printable } from '../../terminal/texts.js';
import type { Facts, InstanceFacts } from '../facts/facts.js';
import { command } from './command.js';
import { finding } from './finding.js';
import type { Diagnosis, Finding } from './finding.js';
import { registryWall } from './registry.js';

/** The maximum number of instances in the evidence. */
const MAX_LISTED = 10;

/** Services that have instances of which callers may call none. */
export function diagnoseCallable(facts: Facts): Diagnosis {
  const out = [...facts.counts].filter(([, count]) => isOutage(count));
  const fine =
    facts.counts.size > 0 && out.length === 0 ? [`each of ${facts.counts.size} services has a callable instance`] : [];
  return { findings: out.map(([key, count]) => notCallableFinding(key, count, facts)), fine, unchecked: [] };
}

function notCallableFinding(key: string, count: CallableCount, facts: Facts): Finding {
  const nameOf = serviceIn(true);
  const members = facts.instances.filter(({ instance }) => nameOf(instance) === key);
  const away = members.filter(({ instance }) => isAway(instance));
  const now = registryWall(facts);
  const name = facts.hasNamespaces ? key : key.slice(key.indexOf('/') + 1);
  return finding('nobody-callable', {
    what: `No instance of ${name} may be called: ${notCallableText(count)}.`,
    instances: members.map(({ instance }) => instance.id),
    services: [key],
    share: 1,
    evidence: [
      ...members.slice(0, MAX_LISTED).map((instanceFacts) => memberText(instanceFacts, now)),
      ...(members.length > MAX_LISTED ? [`and ${members.length - MAX_LISTED} more`] : []),
    ],
    fix:
      away.length > 0
        ? undrainFix(away.slice(0, MAX_LISTED), now)
        : [`see to what fails at its instances: the findings about them, or ${command('rollcall show <id>')}`],
  });
}

function memberText({ instance, away }: InstanceFacts, now: number): string {
  const { id, admin, state, reason } = instance;
  if (admin !== 'ENABLED') return `${id} is ${admin}: ${awayText(admin, away, now)}; its state is ${state}`;
  return `${id} is ${state}: ${explainReason(reason).sentence}`;
}

/** An operator did it on purpose: for each intention the operator to ask first, and then the commands that undo it. */
function undrainFix(away: readonly InstanceFacts[], now: number): readonly string[] {
  const byPlan = new Map<string, string[]>();
  for (const instanceFacts of away) {
    const plan = planText(instanceFacts.away, now);
    const known = byPlan.get(plan);
    const undo = command(`rollcall undrain ${instanceFacts.instance.id}`);
    if (known === undefined) byPlan.set(plan, [undo]);
    else known.push(undo);
  }
  return [...byPlan].flatMap(([plan, commands]) => [plan, ...commands]);
}

/** `planned by token 3f2a from 10.0.0.7 until 22:13:00 (new disk): ask first, then` */
function planText(terms: OverrideTerms | null, now: number): string {
  if (terms === null) return 'planned by an operator: ask first, then';
  const by = terms.by === '' ? 'an operator' : printable(terms.by);
  const until = terms.untilMs === null ? ', with no end' : untilText(terms, now);
  const why = terms.reason === '' ? '' : ` (${printable(terms.reason)})`;
  return `planned by ${by}${until}${why}: ask first, then`;
}
