import { useComputed } from '@preact/signals';
import { STATES } from '@rollcall/core';
import type { VNode } from 'preact';
import { fieldMoment, fieldText } from '../../model/text/moment.js';
import { tailOf } from '../../model/text/instance-text.js';
import { GROUPS, SPANS } from '../../model/view/events.js';
import { withFilter } from '../../model/view/route.js';
import type { Filters } from '../../model/view/route.js';
import { Choice } from '../../parts/filters.js';
import { useShownServices } from '../shown-services.js';

const link = (key: string, value: string): string => withFilter(window.location.hash, key, value);
/** Takes the place of `from` and `to`. */
const spanLink = (span: string): string => withFilter(withFilter(link('last', span), 'from', ''), 'to', '');
const set = (key: string, value: string): void =>
  void (window.location.hash = withFilter(link(key, value), 'last', ''));

/** The filters of events; all of them are in the address. */
export function EventFilters({ filters }: { readonly filters: Filters }): VNode {
  const { kind, instance, last = '', from, to } = filters;
  const nodes = useShownServices();
  const names = useComputed(() => [...new Set(nodes.value.map(({ name }) => name))].toSorted());
  return (
    <div class="chips spaced">
      <a class="chip" href={link('kind', '')} aria-current={kind === undefined ? 'true' : undefined}>
        All
      </a>
      {GROUPS.map(([name]) => (
        <a key={name} class="chip" href={link('kind', name)} aria-current={kind === name ? 'true' : undefined}>
          {name}
        </a>
      ))}
      <Choice name="state" label="state" choices={STATES} />
      <Choice name="service" label="service" choices={names.value} />
      <span class="chips" role="group" aria-label="How far back">
        {SPANS.map(([span]) => (
          <a
            key={span}
            class="chip"
            href={spanLink(last === span ? '' : span)}
            aria-current={last === span ? 'true' : undefined}
          >
            last {span}
          </a>
        ))}
        <a
          class="chip"
          href={spanLink('')}
          aria-current={last === '' && from === undefined && to === undefined ? 'true' : undefined}
        >
          any time
        </a>
      </span>
      <Moment name="from" chosen={from} />
      <Moment name="to" chosen={to} />
      {instance !== undefined && (
        <a class="chip" href={link('instance', '')} aria-current="true" title="any instance">
          instance …{tailOf(instance)} ×
        </a>
      )}
    </div>
  );
}

/** The address has ms since 1970: the same moment in every time zone. */
function Moment({ name, chosen }: { readonly name: string; readonly chosen: string | undefined }): VNode {
  const wall = chosen === undefined ? null : Number(chosen);
  return (
    <label class="chip">
      {name}
      <input
        type="datetime-local"
        value={fieldText(wall === null || Number.isNaN(wall) ? null : wall)}
        onChange={({ currentTarget }) => set(name, String(fieldMoment(currentTarget.value) ?? ''))}
      />
    </label>
  );
}
