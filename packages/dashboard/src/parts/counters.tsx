import type { State } from '@rollcall/core';
import type { VNode } from 'preact';
import { countText } from '../model/age.js';
import { hashOf } from '../model/route.js';
import { Glyph } from './glyph.js';

const COUNTED: readonly State[] = ['HEALTHY', 'UNHEALTHY', 'CRITICAL', 'REGISTERING', 'DEREGISTERING'];

/** How many instances are in each state, as links to them. */
export function Counters({ counts }: { readonly counts: Readonly<Record<State, number>> }): VNode {
  return (
    <ul class="counters">
      {COUNTED.map((state) => (
        <li key={state} class={state}>
          <a href={hashOf('instances', { state })}>
            <b>
              <Glyph of={{ state }} />
              {countText(counts[state])}
            </b>
            <span>{state}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}
