import type { VNode } from 'preact';
import type { BeatsAnswer } from '../../model/live/answers.js';
import { latencyText, spanText } from '../../model/text/age.js';
import { visibleBeats } from '../../model/view/beats.js';

const SPAN_MS = 300_000;
const WIDTH = 1_000;
const HEIGHT = 40;

const x = (agoMs: number): number => WIDTH - (Math.min(agoMs, SPAN_MS) / SPAN_MS) * WIDTH;

/** The p-th of sorted values; null: no values. */
function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}

/** Spans in which the registry did not listen, at full height. */
function NotListened({ answer, height }: { readonly answer: BeatsAnswer; readonly height: number }): VNode {
  return (
    <>
      {(answer.notListening ?? [])
        .filter(({ toAgoMs }) => toAgoMs < SPAN_MS)
        .map(({ fromAgoMs, toAgoMs }) => (
          <rect
            key={fromAgoMs}
            class="not-listened"
            x={x(fromAgoMs)}
            y="0"
            width={Math.max(2, x(toAgoMs) - x(fromAgoMs))}
            height={height}
          >
            <title>registry did not listen</title>
          </rect>
        ))}
    </>
  );
}

interface BeatsProps {
  readonly answer: BeatsAnswer;
  /** The label at the right end of the axis. Default: now. */
  readonly end?: string;
}

/**
 * Five minutes of both directions under one time axis, now at the right: round trips as bars, arrivals as ticks, misses
 * hollow.
 */
export function Beats({ answer, end = 'now' }: BeatsProps): VNode {
  const trips = answer.heartbeat1.flatMap(({ roundTripMs }) => (roundTripMs === null ? [] : [roundTripMs]));
  const sorted = trips.toSorted((a, b) => a - b);
  // a single slow one is cut off, as it would flatten all others
  const top = Math.max((quantile(sorted, 0.9) ?? 1) * 1.25, (quantile(sorted, 0.5) ?? 1) * 3) || 1;
  const { rounds, missed: missed1, missedArrivals: missed2 } = visibleBeats(answer);
  const silentMs = (answer.notListening ?? []).reduce((sum, { fromAgoMs, toAgoMs }) => sum + fromAgoMs - toAgoMs, 0);
  const silent = silentMs === 0 ? '' : `, registry did not listen for ${spanText(silentMs)}`;
  const barWidth = Math.max(2, Math.min(12, (answer.intervalMs / SPAN_MS) * WIDTH * 0.5));
  return (
    <div class="beats">
      <p>
        <b>Round trip</b> <span class="faint">Heartbeat-1</span>
      </p>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${rounds.length} calls, ${missed1} missed${silent}`}
      >
        <NotListened answer={answer} height={HEIGHT} />
        <path class="beats-base" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
        {rounds.map(({ agoMs, roundTripMs }, at) => {
          const height = roundTripMs === null ? HEIGHT - 4 : Math.max(3, Math.min(1, roundTripMs / top) * (HEIGHT - 6));
          return (
            <rect
              key={at}
              class={roundTripMs === null ? 'missed' : 'trip'}
              x={x(agoMs) - barWidth}
              y={HEIGHT - 1 - height}
              width={barWidth}
              height={height}
            />
          );
        })}
      </svg>
      <p class="right">
        <b class={missed1 > 0 ? 'unhealthy toned' : ''}>{missed1} missed</b>
        <span class="faint">
          p50 {latencyText(quantile(sorted, 0.5))}, p99 {latencyText(quantile(sorted, 0.99))}
        </span>
      </p>
      <p>
        <b>Arrivals</b> <span class="faint">Heartbeat-2</span>
      </p>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT - 12}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${answer.heartbeat2.length} arrivals, ${missed2.length} missed${silent}`}
      >
        <NotListened answer={answer} height={HEIGHT - 12} />
        <path class="beats-base" d={`M0 ${HEIGHT - 12.5}H${WIDTH}`} />
        {answer.heartbeat2.map(({ agoMs }, at) => (
          <path key={at} class="arrival" d={`M${x(agoMs)} 2V${HEIGHT - 13}`} />
        ))}
        {missed2.map((agoMs) => (
          <rect key={agoMs} class="missed" x={x(agoMs) - barWidth / 2} y="2" width={barWidth} height={HEIGHT - 16} />
        ))}
      </svg>
      <p class="right">
        <b class={missed2.length > 0 ? 'unhealthy toned' : ''}>{missed2.length} missed</b>
        <span class="faint">every {(answer.intervalMs / 1_000).toFixed(2)} s</span>
      </p>
      <p class="axis beats-axis">
        {[end === 'now' ? '5 min ago' : '5 min before', '4', '3', '2', '1', end].map((mark) => (
          <span key={mark}>{mark}</span>
        ))}
      </p>
      {silentMs > 0 && (
        <p class="beats-note faint">
          <i class="not-listened" /> registry did not listen: {spanText(silentMs)} that count as missed for no instance
        </p>
      )}
    </div>
  );
}
