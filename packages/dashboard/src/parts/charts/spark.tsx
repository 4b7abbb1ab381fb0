import type { VNode } from 'preact';

const WIDTH = 240;
const HEIGHT = 26;
const PAD = 2;

interface SparkProps {
  /** Oldest first; null: nothing is known of that moment, and the line has a gap. */
  readonly points: readonly (number | null)[];
  /** The values at the bottom and at the top; `max` null: the highest point. */
  readonly min?: number;
  readonly max?: number | null;
  /** The label for screen readers. */
  readonly label: string;
}

/** A line without axes: it shows a trend, not values. */
export function Spark({ points, min = 0, max = null, label }: SparkProps): VNode {
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <path class="spark-base" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      <path class="spark-line" d={sparkPath(points, min, max)} />
    </svg>
  );
}

function sparkPath(points: readonly (number | null)[], min: number, max: number | null): string {
  const highest = points.reduce<number>((previous, point) => Math.max(previous, point ?? previous), min);
  const top = max ?? highest;
  const span = top - min || 1;
  const step = WIDTH / Math.max(1, points.length - 1);
  let path = '';
  let isDrawing = false;
  for (const [at, point] of points.entries()) {
    if (point === null) {
      isDrawing = false;
      continue;
    }
    const share = Math.min(1, Math.max(0, (point - min) / span));
    const y = HEIGHT - PAD - 1 - share * (HEIGHT - 2 * PAD - 2);
    path += `${isDrawing ? 'L' : 'M'}${(at * step).toFixed(1)} ${y.toFixed(1)}`;
    isDrawing = true;
  }
  return path;
}
