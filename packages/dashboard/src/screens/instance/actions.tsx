import type { AwayState, Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type { InstanceAnswer } from '../../model/live/answers.js';
import { useSession, useStaleSince } from '../../model/live/session.js';
import { useCanAct } from '../../parts/admin/can-act.js';
import { openDialog } from '../../parts/admin/open-dialog.js';
import type { Action } from './action-dialogs.js';

interface ActionsProps {
  readonly instance: Instance;
  readonly detail: InstanceAnswer | null;
}

/** The button that ends the operator's setting. */
const ENABLE_LABELS: Readonly<Record<AwayState, string>> = { DRAINING: 'Undrain…', MAINTENANCE: 'End maintenance…' };

/** The actions of operators on an instance. On an old view they are disabled, since their effect is unknown. */
export function Actions({ instance, detail }: ActionsProps): VNode | null {
  const { api, shell } = useSession();
  const isDisabled = useStaleSince() !== null;
  const canAct = useCanAct();
  const path = `api/v1/instances/${encodeURIComponent(instance.id)}`;
  const own = detail?.own.weight ?? instance.weight;
  const open = (action: Action) => (): void =>
    openDialog(shell, async () => {
      const { ACTION_DIALOGS } = await import('./action-dialogs.js');
      const Dialog = ACTION_DIALOGS[action];
      return <Dialog {...{ instance, path, own }} />;
    });
  const checkNow = (): void => {
    api.act('POST', `${path}/call`).then(
      () => shell.notify('Heartbeat-1 is on its way.'),
      (error: Error) => shell.notify(error.message),
    );
  };
  if (!canAct) return null;
  return (
    <div class="actions" title={isDisabled ? 'Actions are off while this view is old' : undefined}>
      <button
        type="button"
        class="button primary"
        disabled={isDisabled}
        title="Sends one more Heartbeat-1 now. It is not a call to the service itself."
        onClick={checkNow}
      >
        Check now
      </button>
      {instance.admin === 'ENABLED' ? (
        <button type="button" class="button" disabled={isDisabled} onClick={open('Drain')}>
          Drain…
        </button>
      ) : (
        <button type="button" class="button" disabled={isDisabled} onClick={open('Enable')}>
          {ENABLE_LABELS[instance.admin]}
        </button>
      )}
      {instance.admin !== 'MAINTENANCE' && (
        <button type="button" class="button" disabled={isDisabled} onClick={open('Maintenance')}>
          Maintenance…
        </button>
      )}
      <button type="button" class="button" disabled={isDisabled} onClick={open('Weight')}>
        Weight {instance.weight}
      </button>
      <button type="button" class="button danger" disabled={isDisabled} onClick={open('Deregister')}>
        Deregister…
      </button>
    </div>
  );
}
