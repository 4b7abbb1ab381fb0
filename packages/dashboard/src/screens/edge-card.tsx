import type { VNode } from 'preact';
import { latencyText, plural, rateText } from '../model/age.js';
import type { ServiceEdge } from '../model/answers.js';
import { instanceHash } from '../model/route.js';
import { needsAttention } from '../model/roll.js';
import { useSession } from '../model/session.js';
import { tailOf } from '../model/words.js';
import { CircuitMarks } from '../parts/circuits.js';
import { Heads } from '../parts/heads.js';
import { Glyph } from '../parts/glyph.js';

/** The selected edge, instance by instance. */
export function EdgeCard({ edge }: { readonly edge: ServiceEdge }): VNode {
  const { roll } = useSession();
  const { from, to, namespace, targets, retries, failures } = edge;
  const instances = roll.node(`${namespace}/${to}`)?.instances.value;
  return (
    <section class="panel edge-card">
      <header>
        <h2 class="break">
          {from} to {to}
        </h2>
        <span class="aside">selected</span>
      </header>
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
