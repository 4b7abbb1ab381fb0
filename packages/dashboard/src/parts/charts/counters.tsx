import type { State } from '@rollcall/core';
import type { VNode } from 'preact';
import { countText } from '../../model/text/age.js';
import { hashOf } from '../../model/view/route.js';
import { Glyph } from '../glyph.js';

const COUNTER_STATES: readonly State[] = ['HEALTHY', 'UNHEALTHY', 'CRITICAL', 'REGISTERING', 'DEREGISTERING'];

interface CountersProps {
  /** Null: they cannot be counted yet. */
  readonly counts: Readonly<Record<State, number>> | null;
}

/** The number of instances in each state, as links to them. */
export function Counters({ counts }: CountersProps): VNode {
  return (
    <ul class="counters">
      {COUNTER_STATES.map((state) => (
        <li key={state} class={state}>
          <a href={hashOf('instances', { state })}>
            <b>
              <Glyph shape={{ state }} />
              {countText(counts?.[state] ?? null)}
            </b>
            <span>{state}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}
