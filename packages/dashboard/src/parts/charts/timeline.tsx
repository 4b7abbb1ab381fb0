import type { State } from '@rollcall/core';
import type { VNode } from 'preact';
import type { RegistryEvent } from '../../model/live/answers.js';
import { clockText } from '../../model/text/age.js';
import { isOperatorAction, isOfState } from '../../model/view/last-hour.js';

export const HOUR_MS = 3_600_000;

export interface StateInterval {
  readonly state: State;
  readonly from: number;
  readonly to: number;
}

/** The states of the last hour, oldest first; before the first event nothing is known. */
function stateIntervals(events: readonly RegistryEvent[], now: number, spanMs: number = HOUR_MS): StateInterval[] {
  const begin = now - spanMs;
  const changes = events.filter(isOfState);
  const intervals: StateInterval[] = [];
  for (const [at, { state, at: from }] of changes.entries()) {
    const to = changes[at + 1]?.at ?? now;
    if (state === null || to <= begin) continue;
    const last = intervals.at(-1);
    if (last !== undefined && last.state === state) intervals[intervals.length - 1] = { ...last, to };
    else intervals.push({ state, from: Math.max(from, begin), to });
  }
  return intervals;
}

interface TimelineProps {
  readonly events: readonly RegistryEvent[];
  readonly now: number;
  readonly isSmall?: boolean;
}

/**
 * Height by state, besides colour: states other than HEALTHY have full height. A line marks each action of an operator.
 */
export function Timeline({ events, now, isSmall = false }: TimelineProps): VNode {
  const intervals = stateIntervals(events, now);
  const x = (at: number): number => ((at - (now - HOUR_MS)) / HOUR_MS) * 1_000;
  const actions = isSmall ? [] : events.filter((event) => isOperatorAction(event) && event.at > now - HOUR_MS);
  const label = [
    ...intervals.map(({ state, from }) => `${state} from ${clockText(from)}`),
    ...actions.map(({ at, text }) => `${text} at ${clockText(at)}`),
  ].join(', ');
  return (
    <svg
      class={isSmall ? 'timeline small' : 'timeline'}
      viewBox="0 0 1000 28"
      preserveAspectRatio="none"
      role="img"
      aria-label={label === '' ? 'nothing is known of the last hour' : label}
    >
      <path class="timeline-base" d="M0 27.5H1000" />
      {intervals.map(({ state, from, to }) => (
        <g key={from} class={state}>
          <rect class="timeline-fill" x={x(from)} y="1" width={Math.max(4, x(to) - x(from))} height="26" />
          {state === 'HEALTHY' && <path class="timeline-floor" d={`M${x(from)} 27H${Math.max(x(from) + 4, x(to))}`} />}
        </g>
      ))}
      {actions.map(({ seq, at }) => (
        <path key={seq} class="timeline-action" d={`M${x(at)} 0V28`} />
      ))}
    </svg>
  );
}
