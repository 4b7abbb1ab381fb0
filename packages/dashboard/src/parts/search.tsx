import { useSignal } from '@preact/signals';
import { addressOf } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { useRef } from 'preact/hooks';
import type { VNode } from 'preact';
import { shareOfArrival } from '../model/live/arrival.js';
import { byTrouble } from '../model/live/roll.js';
import type { Roll, ServiceNode } from '../model/live/roll.js';
import { useSession } from '../model/live/session.js';
import { tailOf } from '../model/text/instance-text.js';
import { instanceHash, serviceHash } from '../model/view/route.js';
import { findInstances, findServices, isExactMatch } from '../model/view/search.js';
import { Glyph } from './glyph.js';
import { Icon } from './icon.js';

interface Hit {
  readonly key: string;
  readonly href: string;
  readonly name: string;
  readonly detail: string;
  readonly shape: { readonly state: 'HEALTHY' } | Parameters<typeof Glyph>[0]['shape'];
}

const MAX_HITS = 12;

/** Services, then instances; each with its namespace if there are several. */
function hitsOf(roll: Roll, typed: string): Hit[] {
  const isSeveral = roll.namespaces.value.length > 1;
  const nodes = roll.services.value;
  const hits = findServices(nodes, typed)
    .slice(0, MAX_HITS)
    .map((node) => serviceHit(node, isSeveral));
  const found: Instance[] = [];
  for (const node of nodes) {
    for (const instance of findInstances(node.instances.value.values(), typed)) {
      // an exact one may be the last of all
      if (isExactMatch(instance, typed)) found.unshift(instance);
      else if (found.length < MAX_HITS) found.push(instance);
    }
  }
  return [...hits, ...found.map((instance) => instanceHit(instance, isSeveral))].slice(0, MAX_HITS);
}

function serviceHit({ key, namespace, name: plain, instances }: ServiceNode, isSeveral: boolean): Hit {
  const [worst] = [...instances.value.values()].toSorted(byTrouble);
  const name = isSeveral ? `${namespace}/${plain}` : plain;
  return {
    key,
    href: serviceHash(namespace, plain),
    name,
    detail: isSeveral ? '' : namespace,
    shape: worst ?? { state: 'HEALTHY' },
  };
}

function instanceHit(instance: Instance, isSeveral: boolean): Hit {
  const detail = instance.endpoints.map(addressOf).join(' ');
  return {
    key: instance.id,
    href: instanceHash(instance.id),
    name: `${isSeveral ? `${instance.namespace}/` : ''}${instance.service}…${tailOf(instance.id)}`,
    detail,
    shape: instance,
  };
}

/** The field in the top bar, and its hits: a list box for the arrow keys. */
export function Search(): VNode {
  const { roll } = useSession();
  const typed = useSignal('');
  const at = useSignal(0);
  const isOpen = useSignal(false);
  /** A click on a hit takes the focus first; if the focus returns in time, the search continues. */
  const closing = useRef<number | undefined>(undefined);
  const hits = isOpen.value ? hitsOf(roll, typed.value) : [];
  const chosen = Math.min(at.value, hits.length - 1);
  const close = (): void => {
    isOpen.value = false;
    typed.value = '';
    at.value = 0;
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown') at.value = Math.min(hits.length - 1, chosen + 1);
    else if (event.key === 'ArrowUp') at.value = Math.max(0, chosen - 1);
    else if (event.key === 'Enter' && hits[chosen] !== undefined) {
      window.location.hash = hits[chosen].href;
      (event.currentTarget as HTMLElement).blur();
      close();
    } else return;
    event.preventDefault();
  };
  const isShown = isOpen.value && typed.value !== '';
  const { value: arrival } = roll.arrival;
  return (
    <div class="search" role="search">
      <Icon name="search" />
      <input
        id="search"
        type="text"
        role="combobox"
        autocomplete="off"
        spellcheck={false}
        aria-label="Find a service, instance or address"
        aria-expanded={isShown}
        aria-controls="hits"
        aria-activedescendant={isShown && chosen >= 0 ? `hit-${chosen}` : undefined}
        placeholder="Find a service, instance or address"
        value={typed.value}
        onInput={({ currentTarget }) => {
          typed.value = currentTarget.value;
          isOpen.value = true;
          at.value = 0;
        }}
        onKeyDown={onKey}
        onFocus={() => window.clearTimeout(closing.current)}
        onBlur={() => (closing.current = window.setTimeout(close, 150))}
      />
      <kbd>/</kbd>
      <ul id="hits" role="listbox" aria-label="Found" hidden={!isShown}>
        {hits.map((hit, index) => (
          <li key={hit.key} id={`hit-${index}`} role="option" aria-selected={index === chosen}>
            <a href={hit.href} tabIndex={-1} onClick={close}>
              <Glyph shape={hit.shape} />
              <span class="mono">{hit.name}</span>
              <span class="faint small">{hit.detail}</span>
            </a>
          </li>
        ))}
        {isShown && (hits.length === 0 || arrival !== null) && (
          <li role="option" aria-selected="false" aria-disabled="true" class="faint none">
            {arrival === null
              ? 'Nothing of that name or address'
              : `${shareOfArrival(arrival)} are here so far: more may be found`}
          </li>
        )}
      </ul>
    </div>
  );
}
