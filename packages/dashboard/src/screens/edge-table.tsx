import type { VNode } from 'preact';
import { latencyText, percentText, rateText } from '../model/age.js';
import type { ServiceEdge } from '../model/answers.js';
import { lookOf, successOf } from '../model/edge.js';
import { edgeKey } from '../model/graph.js';
import { serviceHash } from '../model/route.js';
import { Heads } from '../parts/heads.js';
import { InNamespace } from '../parts/namespace.js';
import { circuitText, sumOfCircuits } from '../parts/circuits.js';

/** The same as the graph, for those who count, or hear the page. */
export function EdgeTable({ edges }: { readonly edges: readonly ServiceEdge[] }): VNode {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Edges">
      <table>
        <Heads
          of={[
            'Caller',
            'Service',
            '>Calls/s',
            '>Attempts %',
            '>Failed',
            '>Elsewhere',
            '>p50',
            '>p99',
            '>In flight',
            'Circuits',
          ]}
        />
        <tbody>
          {edges.map((edge) => (
            <EdgeRow key={edgeKey(edge)} edge={edge} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function EdgeRow({ edge }: { readonly edge: ServiceEdge }): VNode {
  const { namespace, from, to, callers, callsPerSecond, failures, retries, p50Ms, p99Ms, inFlight, targets } = edge;
  const tone = lookOf(edge);
  return (
    <tr class={tone === '' ? '' : `tinted ${tone}`} data-row data-problem={tone === '' ? undefined : ''}>
      <td>
        <a href={serviceHash(namespace, from)}>
          <InNamespace of={namespace} />
          {from}
        </a>{' '}
        <span class="faint">{callers}</span>
      </td>
      <td>
        <a href={serviceHash(namespace, to)}>
          <InNamespace of={namespace} />
          {to}
        </a>
      </td>
      <td class="right">{rateText(callsPerSecond)}</td>
      <td class="right">{percentText(successOf(edge))}</td>
      <td class="right">{failures}</td>
      <td class="right">{retries}</td>
      <td class="right nowrap">{latencyText(p50Ms)}</td>
      <td class="right nowrap">{latencyText(p99Ms)}</td>
      <td class="right">{inFlight}</td>
      <td class="nowrap">{circuitText(sumOfCircuits(targets.map(({ circuits }) => circuits)))}</td>
    </tr>
  );
}
