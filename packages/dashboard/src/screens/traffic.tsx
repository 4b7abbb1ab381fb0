import type { VNode } from 'preact';
import type { TrafficAnswer } from '../model/live/answers.js';
import { valueOf } from '../model/live/known.js';
import { useKnown } from '../model/live/session.js';
import { latencyText, percentText, rateText } from '../model/text/age.js';
import { Spark } from '../parts/charts/spark.js';
import { Panel } from '../parts/panel.js';
import { asOfText, Unknown } from '../parts/unknown.js';

/** The calls between all services: the newest step, and how the last 15 minutes went. */
export function TrafficPanel({ namespace }: { readonly namespace: string }): VNode {
  const known = useKnown<TrafficAnswer>(`api/v1/traffic?namespace=${encodeURIComponent(namespace)}`);
  const traffic = valueOf(known);
  const points = traffic?.points ?? [];
  const seconds = (traffic?.stepMs ?? 5_000) / 1_000;
  const last = points.filter(({ calls }) => calls > 0).at(-1);
  const calls = points.reduce((sum, point) => sum + point.calls, 0);
  const failures = points.reduce((sum, point) => sum + point.failures, 0);
  const success = points.map((point) => (point.calls === 0 ? null : 1 - point.failures / point.calls));
  return (
    <Panel title="Calls between services" aside={asOfText(known) || 'last 15 minutes'}>
      {traffic === null ? (
        <Unknown of={known} />
      ) : calls === 0 ? (
        <p class="panel-body faint">
          {asOfText(known) === ''
            ? 'No calls yet. Callers that use Rollcall tell of their calls with Heartbeat-2; nothing has to be set up.'
            : 'No calls had been told of.'}
        </p>
      ) : (
        <div class="sparks">
          <div>
            <span class="label">Success</span>
            <b>{last === undefined ? '–' : `${percentText(1 - last.failures / last.calls)} %`}</b>
            <Spark points={success} min={0.98} max={1} label="Success over the last 15 minutes" />
            <span class="faint small">15 min: {percentText(1 - failures / calls)} %</span>
          </div>
          <div>
            <span class="label">Calls/s</span>
            <b>{rateText(last === undefined ? null : last.calls / seconds)}</b>
            <Spark
              points={points.map((point) => point.calls / seconds)}
              label="Calls a second over the last 15 minutes"
            />
          </div>
          <div>
            <span class="label">p99</span>
            <b>{latencyText(last?.p99Ms ?? null)}</b>
            <Spark points={points.map(({ p99Ms }) => p99Ms)} label="p99 over the last 15 minutes" />
          </div>
        </div>
      )}
    </Panel>
  );
}
