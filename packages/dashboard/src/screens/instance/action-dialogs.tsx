import { useSignal } from '@preact/signals';
import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import { useSession } from '../../model/live/session.js';
import { momentText } from '../../model/text/moment.js';
import { tailOf } from '../../model/text/instance-text.js';
import { Consequences } from '../../parts/admin/consequences.js';
import { LengthField, MINUTE_MS, withReason } from '../../parts/admin/action-fields.js';
import { ActionDialog } from '../../parts/admin/action-dialog.js';

/** The actions of operators on an instance, with a dialog each. */
export type Action = 'Drain' | 'Enable' | 'Maintenance' | 'Weight' | 'Deregister';

export interface ActionProps {
  readonly instance: Instance;
  readonly path: string;
  /** The weight that it registered with. */
  readonly own: number;
}

const nameOf = ({ service, id }: Instance): string => `${service}…${tailOf(id)}`;

function Drain({ instance, path }: ActionProps): VNode {
  const { api, clock } = useSession();
  const minutes = useSignal(0);
  const until = (): object => (minutes.value === 0 ? {} : { untilMs: endOf(clock.now.peek(), minutes.value) });
  return (
    <ActionDialog
      title={`Drain ${nameOf(instance)}`}
      sentence={`Callers send it nothing new; what is in flight finishes. Its state does not change. ${endText(clock.now.value, minutes.value)}`}
      verb="Drain"
      done={`${nameOf(instance)} is draining.`}
      act={(reason) => api.act('PATCH', path, { admin: 'DRAINING', ...until(), ...withReason(reason) })}
    >
      <Consequences instances={[instance]} />
      <LengthField minutes={minutes} none="until you undrain it" />
    </ActionDialog>
  );
}

/** Wall clock, ms. */
const endOf = (now: number, minutes: number): number => Math.round(now + minutes * MINUTE_MS);

const endText = (now: number, minutes: number): string =>
  minutes === 0
    ? 'It stays drained until you undrain it.'
    : `At ${momentText(endOf(now, minutes), now)} it is called again by itself.`;

function Enable({ instance, path }: ActionProps): VNode {
  const { api } = useSession();
  return (
    <ActionDialog
      title={`Let ${nameOf(instance)} be called again`}
      sentence="It gets calls again as soon as its state allows."
      verb="Enable"
      done={`${nameOf(instance)} is enabled.`}
      act={(reason) => api.act('PATCH', path, { admin: 'ENABLED', ...withReason(reason) })}
    />
  );
}

function Maintenance({ instance, path }: ActionProps): VNode {
  const { api, clock } = useSession();
  const minutes = useSignal<number>(60);
  const untilMs = endOf(clock.now.value, minutes.value);
  return (
    <ActionDialog
      title={`Maintenance of ${nameOf(instance)}`}
      sentence={`It is not called until ${momentText(untilMs, clock.now.value)}, then again by itself. It stays registered.`}
      verb="Begin maintenance"
      done={`${nameOf(instance)} is in maintenance.`}
      act={(reason) => api.act('PATCH', path, { admin: 'MAINTENANCE', untilMs, ...withReason(reason) })}
    >
      <Consequences instances={[instance]} />
      <LengthField minutes={minutes} />
    </ActionDialog>
  );
}

function Weight({ instance, path, own }: ActionProps): VNode {
  const { api } = useSession();
  const weight = useSignal(instance.weight);
  const patch = (): { readonly weight: number | null } => ({ weight: weight.value === own ? null : weight.value });
  return (
    <ActionDialog
      title={`Weight of ${nameOf(instance)}`}
      sentence={`Its share of the calls, relative to the other instances. Its own weight is ${own}.`}
      verb="Set"
      done={`${nameOf(instance)} has a weight of ${weight.value}.`}
      act={(reason) => api.act('PATCH', path, { ...patch(), ...withReason(reason) })}
    >
      <label>
        Weight, 0 … 1,000
        <input
          type="number"
          min={0}
          max={1_000}
          required
          value={weight.value}
          onInput={({ currentTarget }) => void (weight.value = currentTarget.valueAsNumber)}
        />
      </label>
    </ActionDialog>
  );
}

function Deregister({ instance, path }: ActionProps): VNode {
  const { api } = useSession();
  return (
    <ActionDialog
      title={`Deregister ${nameOf(instance)}`}
      sentence="It is removed at once, and its id is never used again. A process that still runs does not take part until it is started again."
      verb="Deregister"
      isDangerous
      confirm={nameOf(instance)}
      done={`${nameOf(instance)} is removed.`}
      act={(reason) => api.act('DELETE', `${path}?${new URLSearchParams(withReason(reason)).toString()}`)}
    />
  );
}

/** The dialog of each action. */
export const ACTION_DIALOGS: Readonly<Record<Action, (props: ActionProps) => VNode>> = {
  Drain,
  Enable,
  Maintenance,
  Weight,
  Deregister,
};
