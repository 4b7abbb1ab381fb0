import type { VNode } from 'preact';
import type { ServiceEdge } from '../../model/live/answers.js';
import { valueOf } from '../../model/live/known.js';
import type { Known } from '../../model/live/known.js';
import { rateText } from '../../model/text/age.js';
import { CircuitMarks, circuitText, sumOfCircuits } from '../../parts/charts/circuits.js';
import { TableHead } from '../../parts/table-head.js';
import { ServiceLink } from '../../parts/name.js';
import { Panel } from '../../parts/panel.js';
import { asOfText, Unknown } from '../../parts/unknown.js';

interface InstanceCallersProps {
  readonly id: string;
  /** To its service. */
  readonly edges: Known<readonly ServiceEdge[]>;
}

/** The reports of its callers: a caller may see it worse, or better, than the registry. */
export function InstanceCallers({ id, edges: known }: InstanceCallersProps): VNode {
  const asOf = asOfText(known);
  const rows = (valueOf(known) ?? []).map((edge) => ({
    edge,
    target: edge.targets?.find(({ instance }) => instance === id) ?? null,
  }));
  const circuits = sumOfCircuits(rows.flatMap(({ target }) => (target === null ? [] : [target.circuits])));
  return (
    <Panel title="Callers" aside={asOf || 'what each of them sees'}>
      {known.kind !== 'known' ? (
        <Unknown value={known} />
      ) : rows.length === 0 ? (
        <p class="panel-body faint">
          {asOf === ''
            ? 'No caller has reported calls to this service.'
            : 'No caller had reported calls to this service.'}
        </p>
      ) : (
        <>
          <table>
            <TableHead columns={['Caller', '>Calls/s', '>Failed', 'Circuit']} />
            <tbody>
              {rows.map(({ edge, target }) => (
                <tr key={edge.from}>
                  <td class="rest main">
                    <ServiceLink namespace={edge.namespace} name={edge.from} callers={edge.callers} />
                  </td>
                  <td class="right">{target === null ? '0' : rateText(target.callsPerSecond)}</td>
                  <td class="right">{target === null ? '–' : target.failures}</td>
                  <td>
                    <CircuitMarks circuits={target?.circuits ?? null} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          <p class="panel-foot">
            {circuits.open + circuits.halfOpen + circuits.closed === 0
              ? asOf === ''
                ? 'No caller calls it now.'
                : 'No caller called it then.'
              : `Circuits: ${circuitText(circuits)}.`}
          </p>
        </>
      )}
    </Panel>
  );
}
