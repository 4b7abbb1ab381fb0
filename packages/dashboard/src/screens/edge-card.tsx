import type { VNode } from 'preact';
import { latencyText, plural, rateText } from '../model/age.js';
import type { ServiceEdge, TopologyAnswer } from '../model/answers.js';
import { edgeKey } from '../model/graph.js';
import { valueOf } from '../model/known.js';
import { instanceHash } from '../model/route.js';
import { needsAttention } from '../model/roll.js';
import { useKnown, useSession } from '../model/session.js';
import { tailOf } from '../model/words.js';
import { CircuitMarks } from '../parts/circuits.js';
import { Heads } from '../parts/heads.js';
import { Glyph } from '../parts/glyph.js';
import { asOfText, Unknown } from '../parts/unknown.js';

/** The selected edge, instance by instance. */
export function EdgeCard({ edge }: { readonly edge: ServiceEdge }): VNode {
  const { roll } = useSession();
  const { from, to, namespace, retries, failures } = edge;
  const query = new URLSearchParams({ namespace, service: to });
  const known = useKnown<TopologyAnswer>(`api/v1/topology?${query.toString()}`);
  const whole = valueOf(known)?.edges.find((one) => edgeKey(one) === edgeKey(edge));
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
      {known.kind !== 'known' && <Unknown of={known} />}
      {targets.length > 0 && (
        <table>
          <Heads of={['Instance', '>Calls/s', '>p99', 'Circuits']} />
          <tbody>
            {targets.slice(0, 8).map((target) => {
              const instance = instances?.get(target.instance);
              const isTrouble = instance !== undefined && needsAttention(instance);
              return (
                <tr key={target.instance} class={isTrouble ? `tinted ${instance.state}` : ''}>
                  <td class="nowrap">
                    <a class="with-glyph mono" href={instanceHash(target.instance)}>
                      {instance !== undefined && <Glyph of={instance} />}…{tailOf(target.instance)}
                    </a>
                  </td>
                  <td class="right">{rateText(target.callsPerSecond)}</td>
                  <td class="right nowrap">{latencyText(target.p99Ms)}</td>
                  <td>
                    <CircuitMarks of={target.circuits} />
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
      <p class="panel-foot">
        {plural(retries, 'attempt')} went to another instance, {failures} failed.
      </p>
    </section>
  );
}
