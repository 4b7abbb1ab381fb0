import { useSignal } from '@preact/signals';
import type { VNode } from 'preact';
import type { Roll } from '../model/roll.js';
import { instanceHash, serviceHash } from '../model/route.js';
import { useSession } from '../model/session.js';
import { Glyph } from './glyph.js';
import { Icon } from './icon.js';

interface Hit {
  readonly key: string;
  readonly href: string;
  readonly name: string;
  readonly more: string;
  readonly of: { readonly state: 'HEALTHY' } | Parameters<typeof Glyph>[0]['of'];
}

const MOST_HITS = 12;

/** Services by name; instances by id, as `orders…1e07`, by address, version or zone. */
export function hitsOf(roll: Roll, typed: string): Hit[] {
  const words = typed.toLowerCase().trim();
  if (words === '') return [];
  const [name = '', tail] = words.split('…');
  const services: Hit[] = [];
  const instances: Hit[] = [];
  for (const node of roll.services.value) {
    if (node.name.includes(words)) {
      const first = [...node.instances.value.values()].find(({ state }) => state !== 'HEALTHY');
      services.push({
        key: node.key,
        href: serviceHash(node.namespace, node.name),
        name: node.name,
        more: node.namespace,
        of: first ?? { state: 'HEALTHY' },
      });
    }
    for (const instance of node.instances.value.values()) {
      const address = instance.endpoints.map(({ host, port }) => `${host}:${port}`).join(' ');
      const isNamed = tail !== undefined && node.name === name && instance.id.endsWith(tail);
      if (!isNamed && !`${instance.id} ${address}`.toLowerCase().includes(words)) continue;
      instances.push({
        key: instance.id,
        href: instanceHash(instance.id),
        name: `${node.name}…${instance.id.slice(-4)}`,
        more: address,
        of: instance,
      });
    }
    if (services.length + instances.length > MOST_HITS * 4) break;
  }
  return [...services, ...instances].slice(0, MOST_HITS);
}

/** The field in the top bar, and what it finds: a list box that the arrow keys walk. */
export function Search(): VNode {
  const { roll } = useSession();
  const typed = useSignal('');
  const at = useSignal(0);
  const isOpen = useSignal(false);
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
        onBlur={() => window.setTimeout(close, 150)}
      />
      <kbd>/</kbd>
      <ul id="hits" role="listbox" aria-label="Found" hidden={!isShown}>
        {hits.map((hit, index) => (
          <li key={hit.key} id={`hit-${index}`} role="option" aria-selected={index === chosen}>
            <a href={hit.href} tabIndex={-1} onClick={close}>
              <Glyph of={hit.of} />
              <span class="mono">{hit.name}</span>
              <span class="faint small">{hit.more}</span>
            </a>
          </li>
        ))}
        {isShown && hits.length === 0 && (
          <li role="option" aria-selected="false" aria-disabled="true" class="faint none">
            Nothing of that name or address
          </li>
        )}
      </ul>
    </div>
  );
}
