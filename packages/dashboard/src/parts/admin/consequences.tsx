import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type { TopologyAnswer } from '../../model/live/answers.js';
import { knownAs } from '../../model/live/known.js';
import { useKnown, useSession, useStaleSince } from '../../model/live/session.js';
import { consequenceOf } from '../../model/text/taking-away.js';

interface ConsequencesProps {
  /** Those that are to be taken away from their callers. */
  readonly of: readonly Instance[];
}

/** The number of instances of each service that stay callable, or a warning that none does, with its callers. */
export function Consequences({ of }: ConsequencesProps): VNode {
  const { roll } = useSession();
  const isOld = useStaleSince() !== null;
  const nodes = [...new Set(of.flatMap(({ id }) => roll.homeOf(id) ?? []))];
  const namespaces = new Set(nodes.map(({ namespace }) => namespace));
  const [only = '*'] = namespaces;
  const query = new URLSearchParams({ namespace: namespaces.size === 1 ? only : '*', targets: 'false' });
  for (const { name } of nodes) query.append('service', name);
  const edges = knownAs(useKnown<TopologyAnswer>(`api/v1/topology?${query.toString()}`), (answer) => answer.edges);
  if (isOld || roll.arrival.value !== null) return <p>How many stay callable is not known now.</p>;
  const taken = new Set(of.map(({ id }) => id));
  const lines = nodes.map(({ key, namespace, name, instances }) => ({
    key,
    before: nodes.length === 1 ? '' : `${roll.nameOf(namespace, name)}: `,
    ...consequenceOf({ namespace, service: name, instances: instances.value.values(), taken }, edges, roll.nameOf),
  }));
  return (
    <ul class="consequences">
      {lines
        .toSorted((one, other) => Number(other.isOut) - Number(one.isOut))
        .map(({ key, before, text, isOut }) => (
          <li key={key} class={isOut ? 'problem' : ''}>
            {isOut ? text : `${before}${text}`}
          </li>
        ))}
    </ul>
  );
}
