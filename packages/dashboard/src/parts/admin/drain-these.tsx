import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import { useSession, useStaleSince } from '../../model/live/session.js';
import { bulkOf, MOST_AT_ONCE } from '../../model/view/bulk.js';
import { useMayAct } from './may-act.js';
import { openDialog } from './open-dialog.js';

interface DrainTheseProps {
  /** The filtered instances. Use it only with a filter. */
  readonly of: readonly Instance[];
}

/**
 * Drains all listed instances, or undrains them if all of them are drained. Nothing if there is nothing to do.
 */
export function DrainThese({ of }: DrainTheseProps): VNode | null {
  const { shell } = useSession();
  const isOld = useStaleSince() !== null;
  const mayAct = useMayAct();
  const bulk = bulkOf(of);
  if (!mayAct || bulk === null) return null;
  const { length } = bulk.instances;
  const isTooMany = length > MOST_AT_ONCE;
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
      title={isTooMany ? `At most ${MOST_AT_ONCE} at once: filter more` : undefined}
      onClick={open}
    >
      {verb} {length === 1 ? 'this one' : `these ${length}`}…
    </button>
  );
}
