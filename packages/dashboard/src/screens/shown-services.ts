import { useComputed } from '@preact/signals';
import type { ReadonlySignal } from '@preact/signals';
import type { ServiceNode } from '../model/live/roll.js';
import { useSession } from '../model/live/session.js';

/** The services of the namespace that is shown. */
export function useShownServices(): ReadonlySignal<readonly ServiceNode[]> {
  const { roll, route } = useSession();
  return useComputed(() => {
    const namespace = route.value.filters['ns'] ?? '*';
    const all = roll.services.value;
    return namespace === '*' ? all : all.filter((node) => node.namespace === namespace);
  });
}
