import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import { useSession, useStaleSince } from '../../model/live/session.js';
import { bulkOf, MAX_AT_ONCE } from '../../model/view/bulk.js';
import { useCanAct } from './can-act.js';
import { openDialog } from './open-dialog.js';

interface DrainListedProps {
  /** The filtered instances. Use it only with a filter. */
  readonly instances: readonly Instance[];
}

/**
 * Drains all listed instances, or undrains them if all of them are drained. Nothing if there is nothing to do.
 */
export function DrainListed({ instances }: DrainListedProps): VNode | null {
  const { shell } = useSession();
  const isOld = useStaleSince() !== null;
  const canAct = useCanAct();
  const bulk = bulkOf(instances);
  if (!canAct || bulk === null) return null;
  const { length } = bulk.instances;
  const isTooMany = length > MAX_AT_ONCE;
  const verb = bulk.to === 'DRAINING' ? 'Drain' : 'Undrain';
  const open = (): void =>
    openDialog(shell, async () => {
      const { BulkDialog } = await import('./bulk-dialog.js');
      return <BulkDialog {...bulk} />;
    });
  return (
    <button
      type="button"
      class="button"
      disabled={isOld || isTooMany}
      title={isTooMany ? `At most ${MAX_AT_ONCE} at once: filter more` : undefined}
      onClick={open}
    >
      {verb} {length === 1 ? 'this one' : `these ${length}`}…
    </button>
  );
}
