import type { VNode } from 'preact';
import type { ServiceEdge } from '../../model/live/answers.js';
import { valueOf } from '../../model/live/known.js';
import type { Known } from '../../model/live/known.js';
import { standingOf } from '../../model/live/roll.js';
import { useSession } from '../../model/live/session.js';
import { latencyText, percentText, rateText } from '../../model/text/age.js';
import { toKey } from '../../model/view/edge-filters.js';
import { circuitText } from '../../parts/charts/circuits.js';
import { TableHead } from '../../parts/table-head.js';
import { ServiceLink } from '../../parts/name.js';
import { Panel } from '../../parts/panel.js';
import { asOfText, Unknown } from '../../parts/unknown.js';

/** `asOf` empty: the edges are current. */
function emptyText(end: 'from' | 'to', asOf: string): string {
  if (asOf !== '')
    return `${end === 'from' ? 'No caller had reported calls to it' : 'It had reported no calls'}, ${asOf}.`;
  return end === 'from'
    ? 'No caller has reported calls to it. An edge appears as soon as one calls it through Rollcall.'
    : 'It has reported no calls to other services.';
}

interface EdgesProps {
  readonly title: string;
  readonly edges: Known<readonly ServiceEdge[]>;
  readonly end: 'from' | 'to';
}

/** Its callers, or its callees. */
export function ServiceEdges({ title, edges: known, end }: EdgesProps): VNode {
  const { roll } = useSession();
  const edges = valueOf(known);
  const isOut = (edge: ServiceEdge): boolean => {
    const callee = roll.node(toKey(edge));
    return callee !== undefined && standingOf(callee.instances.value).count.callable === 0;
  };
  return (
    <Panel title={title} count={edges?.length ?? '–'} aside={asOfText(known)} class="scroll">
      {edges === null ? (
        <Unknown value={known} />
      ) : edges.length === 0 ? (
        <p class="panel-body faint">{emptyText(end, asOfText(known))}</p>
      ) : (
        <table>
          <TableHead
            columns={[
              end === 'from' ? 'Caller' : 'Service',
              ...(end === 'from' ? ['>Instances that call@w5'] : []),
              '>Calls OK %',
              '>Calls/s',
              '>p99@w4',
              '>Attempts elsewhere@w6',
              'Circuits@w5',
            ]}
          />
          <tbody>
            {edges.map((edge) => (
              <tr key={edge[end]}>
                <td class="rest main">
                  <ServiceLink namespace={edge.namespace} name={edge[end]} />
                </td>
                {end === 'from' && <td class="right w5">{edge.callers}</td>}
                <td class="right">{edge.calls === 0 ? '–' : percentText(1 - edge.failures / edge.calls)}</td>
                <td class="right">{rateText(edge.callsPerSecond)}</td>
                <td class="right nowrap w4">{latencyText(edge.p99Ms)}</td>
                <td class="right w6">{edge.retries}</td>
                <td class="nowrap w5">{circuitText(edge.circuits, isOut(edge))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
