import type { VNode } from 'preact';
import type { ServiceEdge } from '../../model/live/answers.js';
import { standingOf } from '../../model/live/roll.js';
import { useSession } from '../../model/live/session.js';
import { latencyText, percentText, rateText } from '../../model/text/age.js';
import { byImpairment, lookOf, successOf } from '../../model/view/edge.js';
import { toKey } from '../../model/view/edge-filters.js';
import { edgeKey } from '../../model/view/graph.js';
import { circuitText } from '../../parts/charts/circuits.js';
import { TableHead } from '../../parts/table-head.js';
import { ServiceLink } from '../../parts/name.js';

/** The same as the graph, to compare numbers, and for screen readers. */
export function EdgeTable({ edges }: { readonly edges: readonly ServiceEdge[] }): VNode {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Edges">
      <table>
        <TableHead
          columns={[
            'Caller',
            '>Instances that call@w11',
            'Service',
            '>Calls/s@w5',
            '>Attempts OK %',
            '>Calls failed@w8',
            '>Attempts elsewhere@w9',
            '>p50@w10',
            '>p99@w6',
            '>In flight@w11',
            'Circuits@w7',
          ]}
        />
        <tbody>
          {edges.toSorted(byImpairment).map((edge) => (
            <EdgeRow key={edgeKey(edge)} edge={edge} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function EdgeRow({ edge }: { readonly edge: ServiceEdge }): VNode {
  const { namespace, from, to, callers, callsPerSecond, failures, retries, p50Ms, p99Ms, inFlight, circuits } = edge;
  const callee = useSession().roll.node(toKey(edge));
  const isOut = callee !== undefined && standingOf(callee.instances.value).count.callable === 0;
  const tone = lookOf(edge);
  return (
    <tr class={tone === '' ? '' : `tinted ${tone}`} data-row data-problem={tone === '' ? undefined : ''}>
      <td class="rest main">
        <ServiceLink namespace={namespace} name={from} />
      </td>
      <td class="right w11">{callers}</td>
      <td class="rest main">
        <ServiceLink namespace={namespace} name={to} />
      </td>
      <td class="right w5">{rateText(callsPerSecond)}</td>
      <td class="right">{percentText(successOf(edge))}</td>
      <td class="right w8">{failures}</td>
      <td class="right w9">{retries}</td>
      <td class="right nowrap w10">{latencyText(p50Ms)}</td>
      <td class="right nowrap w6">{latencyText(p99Ms)}</td>
      <td class="right w11">{inFlight}</td>
      <td class="nowrap w7">{circuitText(circuits, isOut)}</td>
    </tr>
  );
}
