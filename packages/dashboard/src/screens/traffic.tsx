import type { VNode } from 'preact';
import type { TopologySummary, TrafficAnswer } from '../model/live/answers.js';
import { knownAsOf, valueOf } from '../model/live/known.js';
import type { Known } from '../model/live/known.js';
import { useKnown } from '../model/live/session.js';
import { latencyText, percentText, rateText } from '../model/text/age.js';
import { newestP99, successIn } from '../model/view/traffic.js';
import { Spark } from '../parts/charts/spark.js';
import { Panel } from '../parts/panel.js';
import { asOfText, Unknown } from '../parts/unknown.js';

interface TrafficProps {
  readonly namespace: string;
  /** The last five seconds of each caller. */
  readonly summary: Known<TopologySummary>;
}

/** The calls between all services: the current rates, and, smaller, those of the last 15 minutes. */
export function TrafficPanel({ namespace, summary: known }: TrafficProps): VNode {
  const recent = useKnown<TrafficAnswer>(`api/v1/traffic?namespace=${encodeURIComponent(namespace)}`);
  const points = valueOf(recent)?.points ?? [];
  const seconds = (valueOf(recent)?.stepMs ?? 5_000) / 1_000;
  const summary = valueOf(known);
  const hasCalls = points.some(({ calls }) => calls > 0);
  return (
    <Panel title="Calls between services" aside={asOfText(recent) || 'now, and the last 15 minutes'}>
      {valueOf(recent) === null ? (
        <Unknown value={recent} />
      ) : !hasCalls && (summary?.edges ?? 0) === 0 ? (
        <p class="panel-body faint">
          {knownAsOf(recent) === null
            ? 'No calls yet. Callers that use Rollcall report their calls with Heartbeat-2; no set-up is needed.'
            : 'No calls had been reported.'}
        </p>
      ) : (
        <div class="sparks">
          <div>
            <span class="label">Calls that succeeded, last 5 s</span>
            <b>{shareText(summary === null ? null : successIn([summary]))}</b>
            <Spark
              points={points.map((point) => successIn([point]))}
              min={0.98}
              max={1}
              label="Calls that succeeded over the last 15 minutes"
            />
            <span class="faint small">15 min: {shareText(successIn(points))}</span>
          </div>
          <div>
            <span class="label">Calls/s</span>
            <b>{rateText(summary?.callsPerSecond ?? null)}</b>
            <Spark
              points={points.map((point) => point.calls / seconds)}
              label="Calls a second over the last 15 minutes"
            />
          </div>
          <div>
            <span class="label">p99</span>
            <b>{latencyText(newestP99(points))}</b>
            <Spark points={points.map(({ p99Ms }) => p99Ms)} label="p99 over the last 15 minutes" />
          </div>
        </div>
      )}
    </Panel>
  );
}

const shareText = (ratio: number | null): string => (ratio === null ? '–' : `${percentText(ratio)} %`);
