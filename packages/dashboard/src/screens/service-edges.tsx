import type { VNode } from 'preact';
import { latencyText, percentText, plural, rateText } from '../model/age.js';
import type { ServiceEdge } from '../model/answers.js';
import { serviceHash } from '../model/route.js';
import { circuitText, sumOfCircuits } from '../parts/circuits.js';
import { Heads } from '../parts/heads.js';
import { InNamespace } from '../parts/namespace.js';
import { Panel } from '../parts/panel.js';

interface EdgesProps {
  readonly title: string;
  readonly edges: readonly ServiceEdge[];
  readonly other: 'from' | 'to';
}

/** Who calls it, or whom it calls. */
export function ServiceEdges({ title, edges, other }: EdgesProps): VNode {
  return (
    <Panel title={title} count={edges.length} class="scroll">
      {edges.length === 0 ? (
        <p class="panel-body faint">
          {other === 'from'
            ? 'No caller has told of calls to it. An edge appears as soon as one calls it through Rollcall.'
            : 'It has told of no calls to others.'}
        </p>
      ) : (
        <table>
          <Heads of={['Service', '>Success %', '>Calls/s', '>p99@w4', '>Elsewhere@w6', 'Circuits@w5']} />
          <tbody>
            {edges.map((edge) => (
              <tr key={edge[other]}>
                <td class="rest main">
                  <a
                    class="clip"
                    href={serviceHash(edge.namespace, edge[other])}
                    title={other === 'to' ? edge.to : `${edge.from}, ${plural(edge.callers, 'caller')}`}
                  >
                    <InNamespace of={edge.namespace} />
                    {edge[other]} {other === 'from' && <span class="faint">{edge.callers}</span>}
                  </a>
                </td>
                <td class="right">{edge.calls === 0 ? '–' : percentText(1 - edge.failures / edge.calls)}</td>
                <td class="right">{rateText(edge.callsPerSecond)}</td>
                <td class="right nowrap w4">{latencyText(edge.p99Ms)}</td>
                <td class="right w6">{edge.retries}</td>
                <td class="nowrap w5">{circuitText(sumOfCircuits(edge.targets.map(({ circuits }) => circuits)))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
