import { notCallableText } from '@rollcall/core';
import type { VNode } from 'preact';
import type { ServiceEdge, TrafficAnswer } from '../../model/live/answers.js';
import { missingText, valueOf } from '../../model/live/known.js';
import type { Known } from '../../model/live/known.js';
import { standingOf } from '../../model/live/roll.js';
import type { ServiceNode } from '../../model/live/roll.js';
import { useKnown } from '../../model/live/session.js';
import { countText, latencyText, percentText, rateText } from '../../model/text/age.js';
import { callableShare, unwellText } from '../../model/text/callable-text.js';
import { maxOf } from '../../model/view/edge.js';
import { circuitText, circuitWord, sumOfCircuits } from '../../parts/charts/circuits.js';
import { Spark } from '../../parts/charts/spark.js';
import { asOfText } from '../../parts/unknown.js';

type Callers = Known<readonly ServiceEdge[]>;

/** The calls to a service by all of its callers, and the number of its callable instances. */
export function Stats({ node, callers: known }: { readonly node: ServiceNode; readonly callers: Callers }): VNode {
  const callers = valueOf(known) ?? [];
  const none = known.kind === 'known' ? 'no callers' : missingText(known);
  const path = `api/v1/traffic?namespace=${encodeURIComponent(node.namespace)}&to=${encodeURIComponent(node.name)}`;
  const recent = useKnown<TrafficAnswer>(path);
  const traffic = valueOf(recent);
  const asOf = asOfText(known) || asOfText(recent);
  const points = traffic?.points ?? [];
  const perSecond = callers.reduce((sum, edge) => sum + edge.callsPerSecond, 0);
  const calls = callers.reduce((sum, edge) => sum + edge.calls, 0);
  const failures = callers.reduce((sum, edge) => sum + edge.failures, 0);
  const p99Ms = callers.reduce<number | null>((max, edge) => maxOf(max, edge.p99Ms), null);
  const p50Ms = callers.reduce<number | null>((max, edge) => maxOf(max, edge.p50Ms), null);
  const circuits = sumOfCircuits(callers.map((edge) => edge.circuits));
  const standing = standingOf(node.instances.value);
  const why = [unwellText(standing), notCallableText(standing.count)].filter((text) => text !== '');
  const inFlight = callers.length === 0 ? [] : [`${callers.reduce((sum, edge) => sum + edge.inFlight, 0)} in flight`];
  return (
    <div class="panel stats">
      <div>
        <span class="label">Calls OK, last 5 s</span>
        <b>
          {calls === 0 ? '–' : `${percentText(1 - failures / calls)} %`}{' '}
          <small>{calls === 0 ? '' : `${countText(failures)} failed`}</small>
        </b>
        <Spark
          points={points.map((point) => (point.calls === 0 ? null : 1 - point.failures / point.calls))}
          min={0.98}
          max={1}
          label="Calls that succeeded over the last 15 minutes"
        />
      </div>
      <div>
        <span class="label">Calls/s</span>
        <b>{callers.length === 0 ? '–' : rateText(perSecond)}</b>
        <Spark points={points.map((point) => point.calls)} label="Calls over the last 15 minutes" />
      </div>
      <div>
        <span class="label">p99</span>
        <b>
          {latencyText(p99Ms)} <small>p50 {latencyText(p50Ms)}</small>
        </b>
        <Spark points={points.map((point) => point.p99Ms)} label="p99 over the last 15 minutes" />
      </div>
      <div>
        <span class="label">Circuit</span>
        <b>{circuitWord(circuits, callers.length)}</b>
        <p class="faint small">{callers.length === 0 ? none : circuitText(circuits, standing.count.callable === 0)}</p>
      </div>
      <div>
        <span class="label">Callable</span>
        <b>{callableShare(standing.count)}</b>
        <p class="faint small">{[...why, ...inFlight].join(', ') || 'all of them HEALTHY'}</p>
      </div>
      {asOf !== '' && <p class="stats-age">Calls {asOf}.</p>}
    </div>
  );
}
