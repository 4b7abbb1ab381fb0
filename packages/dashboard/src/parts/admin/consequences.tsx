import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type { TopologyAnswer } from '../../model/live/answers.js';
import { mapKnown } from '../../model/live/known.js';
import { useKnown, useSession, useStaleSince } from '../../model/live/session.js';
import { consequenceOf } from '../../model/text/consequence.js';

interface ConsequencesProps {
  /** The instances that are to be taken away from their callers. */
  readonly instances: readonly Instance[];
}

/** The number of instances of each service that stay callable, or a warning that none does, with its callers. */
export function Consequences({ instances: withdrawing }: ConsequencesProps): VNode {
  const { roll } = useSession();
  const isOld = useStaleSince() !== null;
  const nodes = [...new Set(withdrawing.flatMap(({ id }) => roll.serviceOf(id) ?? []))];
  const namespaces = new Set(nodes.map(({ namespace }) => namespace));
  const [only = '*'] = namespaces;
  const query = new URLSearchParams({ namespace: namespaces.size === 1 ? only : '*', targets: 'false' });
  for (const { name } of nodes) query.append('service', name);
  const edges = mapKnown(useKnown<TopologyAnswer>(`api/v1/topology?${query.toString()}`), (answer) => answer.edges);
  if (isOld || roll.arrival.value !== null) return <p>How many stay callable is not known now.</p>;
  const withdrawn = new Set(withdrawing.map(({ id }) => id));
  const lines = nodes.map(({ key, namespace, name, instances }) => ({
    key,
    before: nodes.length === 1 ? '' : `${roll.nameOf(namespace, name)}: `,
    ...consequenceOf({ namespace, service: name, instances: instances.value.values(), withdrawn }, edges, roll.nameOf),
  }));
  return (
    <ul class="consequences">
      {lines
        .toSorted((a, b) => Number(b.isOut) - Number(a.isOut))
        .map(({ key, before, text, isOut }) => (
          <li key={key} class={isOut ? 'problem' : ''}>
            {isOut ? text : `${before}${text}`}
          </li>
        ))}
    </ul>
  );
}
