import { isOutage, notCallableText } from '@rollcall/core';
import type { CallableCount } from '@rollcall/core';
import { areSeveral } from '../../registry/namespaces.js';
import { isAway, serviceIn } from '../../render/outages.js';
import { awayText } from '../../render/override-terms.js';
import { explained } from '../../terminal/words.js';
import type { Facts, InstanceFacts } from '../facts/facts.js';
import { finding } from './finding.js';
import type { Diagnosis, Finding } from './finding.js';
import { registryWall } from './registry.js';

/** So many instances are told one by one. */
const MOST_TOLD = 10;

/** Services that have instances of which callers may call none. */
export function callableDiagnosis(facts: Facts): Diagnosis {
  const out = [...facts.counts].filter(([, count]) => isOutage(count));
  const fine =
    facts.counts.size > 0 && out.length === 0
      ? [`of each of ${facts.counts.size} services somebody may be called`]
      : [];
  return { findings: out.map(([key, count]) => nobody(key, count, facts)), fine, unchecked: [] };
}

function nobody(key: string, count: CallableCount, facts: Facts): Finding {
  const nameOf = serviceIn(true);
  const members = facts.instances.filter(({ instance }) => nameOf(instance) === key);
  const away = members.filter(({ instance }) => isAway(instance));
  const now = registryWall(facts);
  const name = hasNamespaces(facts) ? key : key.slice(key.indexOf('/') + 1);
  return finding('nobody-callable', {
    what: `Nobody of ${name} may be called: ${notCallableText(count)}.`,
    instances: members.map(({ instance }) => instance.id),
    evidence: [
      ...members.slice(0, MOST_TOLD).map((one) => told(one, now)),
      ...(members.length > MOST_TOLD ? [`and ${members.length - MOST_TOLD} more`] : []),
    ],
    fix:
      away.length > 0
        ? away.slice(0, MOST_TOLD).map(({ instance }) => `rollcall undrain ${instance.id}`)
        : ['see to what fails at its instances: the findings about them, or rollcall show <id>'],
  });
}

const hasNamespaces = ({ counts }: Facts): boolean =>
  areSeveral([...counts.keys()].map((key) => ({ namespace: key.slice(0, key.indexOf('/')) })));

function told({ instance, away }: InstanceFacts, now: number): string {
  const { id, admin, state, reason } = instance;
  if (admin !== 'ENABLED') return `${id} is ${admin}: ${awayText(admin, away, now)}; its state is ${state}`;
  return `${id} is ${state}: ${explained(reason).sentence}`;
}
