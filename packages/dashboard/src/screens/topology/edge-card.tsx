import type { VNode } from 'preact';
import type { ServiceEdge, TopologyAnswer } from '../../model/live/answers.js';
import { valueOf } from '../../model/live/known.js';
import { needsAttention } from '../../model/live/roll.js';
import { useKnown, useSession } from '../../model/live/session.js';
import { latencyText, plural, rateText } from '../../model/text/age.js';
import { tailOf } from '../../model/text/instance-text.js';
import { edgeKey } from '../../model/view/graph.js';
import { instanceHash } from '../../model/view/route.js';
import { CircuitMarks } from '../../parts/charts/circuits.js';
import { Glyph } from '../../parts/glyph.js';
import { TableHead } from '../../parts/table-head.js';
import { asOfText, Unknown } from '../../parts/unknown.js';

/** The selected edge, instance by instance. */
export function EdgeCard({ edge }: { readonly edge: ServiceEdge }): VNode {
  const { roll } = useSession();
  const { from, to, namespace, retries, failures } = edge;
  const query = new URLSearchParams({ namespace, service: to });
  const known = useKnown<TopologyAnswer>(`api/v1/topology?${query.toString()}`);
  const whole = valueOf(known)?.edges.find((candidate) => edgeKey(candidate) === edgeKey(edge));
  const targets = whole?.targets ?? [];
  const instances = roll.node(`${namespace}/${to}`)?.instances.value;
  return (
    <section class="panel edge-card">
      <header>
        <h2 class="break">
          {roll.nameOf(namespace, from)} to {roll.nameOf(namespace, to)}
        </h2>
        <span class="aside">{asOfText(known) || 'selected'}</span>
      </header>
      {known.kind !== 'known' && <Unknown value={known} />}
      {targets.length > 0 && (
        <table>
          <TableHead columns={['Instance', '>Calls/s', '>p99', 'Circuits']} />
          <tbody>
            {targets.slice(0, 8).map((target) => {
              const instance = instances?.get(target.instance);
              const isTrouble = instance !== undefined && needsAttention(instance);
              return (
                <tr key={target.instance} class={isTrouble ? `tinted ${instance.state}` : ''}>
                  <td class="nowrap">
                    <a class="with-glyph mono" href={instanceHash(target.instance)}>
                      {instance !== undefined && <Glyph shape={instance} />}…{tailOf(target.instance)}
                    </a>
                    {instance !== undefined && instance.admin !== 'ENABLED' && (
                      <b class="block small">{instance.admin}</b>
                    )}
                  </td>
                  <td class="right">{rateText(target.callsPerSecond)}</td>
                  <td class="right nowrap">{latencyText(target.p99Ms)}</td>
                  <td>
                    <CircuitMarks circuits={target.circuits} />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
      <p class="panel-foot">
        {plural(failures, 'call')} failed, {plural(retries, 'attempt')} went to another instance.
      </p>
    </section>
  );
}
