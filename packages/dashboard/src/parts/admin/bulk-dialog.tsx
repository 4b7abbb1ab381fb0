import { useSignal } from '@preact/signals';
import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import { useSession } from '../../model/live/session.js';
import { plural } from '../../model/text/age.js';
import { momentText } from '../../model/text/moment.js';
import { tailOf } from '../../model/text/instance-text.js';
import type { Bulk } from '../../model/view/bulk.js';
import { Consequences } from './consequences.js';
import { Code } from '../copy.js';
import { LengthField, MINUTE_MS, ReasonField, withReason } from './action-fields.js';
import { Dialog } from '../dialog.js';
import { Clip } from '../name.js';

/** The result for one instance. */
type Result = 'done' | 'undone' | Error;

/** The instances are those of the moment in which it was opened, whatever the filter lets through afterwards. */
export function BulkDialog({ to, instances }: Bulk): VNode {
  const { api, shell, clock } = useSession();
  const reason = useSignal('');
  const minutes = useSignal(0);
  const results = useSignal<ReadonlyMap<string, Result>>(new Map());
  const isBusy = useSignal(false);
  const isDrain = to === 'DRAINING';
  const verb = isDrain ? 'Drain' : 'Undrain';
  const close = (): void => void (shell.dialog.value = null);
  const done = instances.filter(({ id }) => results.value.get(id) === 'done');
  const left = instances.filter(({ id }) => !['done', 'undone'].includes(String(results.value.get(id))));
  /** One after the other: after an error the others are still tried. */
  const patch = async (targets: readonly Instance[], body: object, result: Result): Promise<void> => {
    isBusy.value = true;
    for (const { id } of targets) {
      const outcome = await api.act('PATCH', `api/v1/instances/${encodeURIComponent(id)}`, body).then(
        () => result,
        (error: Error) => error,
      );
      results.value = new Map(results.value).set(id, outcome);
    }
    isBusy.value = false;
  };
  const run = (event: Event): void => {
    event.preventDefault();
    const until = minutes.value === 0 ? {} : { untilMs: Math.round(clock.now.peek() + minutes.value * MINUTE_MS) };
    void patch(left, { admin: to, ...until, ...withReason(reason.value) }, 'done');
  };
  const isAsked = results.value.size === 0;
  return (
    <Dialog title={`${verb} ${plural(instances.length, 'instance')}`} onClose={close}>
      <form onSubmit={run}>
        {isAsked && <p>{sentenceOf(isDrain, minutes.value, clock.now.value)}</p>}
        {isAsked && isDrain && <Consequences instances={instances} />}
        <Rows instances={instances} results={results.value} isDrain={isDrain} />
        {left.length > 0 && !isBusy.value && (
          <>
            {isDrain && <LengthField minutes={minutes} none="until you undrain them" />}
            <ReasonField value={reason} />
          </>
        )}
        {done.length > 0 && isDrain && !isBusy.value && <Undo instances={done} />}
        <div class="dialog-actions">
          {done.length > 0 && isDrain && (
            <button
              type="button"
              class="button"
              disabled={isBusy.value}
              onClick={() => void patch(done, { admin: 'ENABLED', ...withReason(reason.value) }, 'undone')}
            >
              Undrain {done.length === 1 ? 'it' : `all ${done.length}`}
            </button>
          )}
          <button type="button" class="button" onClick={close}>
            {isAsked ? 'Cancel' : 'Close'}
          </button>
          {left.length > 0 && (
            <button type="submit" class="button primary" disabled={isBusy.value}>
              {isAsked ? `${verb} ${instances.length}` : `${verb} the ${left.length} left`}
            </button>
          )}
        </div>
      </form>
    </Dialog>
  );
}

function sentenceOf(isDrain: boolean, minutes: number, now: number): string {
  if (!isDrain) return 'They get calls again as soon as their states allow.';
  const end =
    minutes === 0
      ? 'They stay drained until you undrain them.'
      : `At ${momentText(now + minutes * MINUTE_MS, now)} they are called again by themselves.`;
  return `Callers send them nothing new; what is in flight finishes. ${end}`;
}

interface RowsProps {
  readonly instances: readonly Instance[];
  readonly results: ReadonlyMap<string, Result>;
  readonly isDrain: boolean;
}

function Rows({ instances, results, isDrain }: RowsProps): VNode {
  return (
    <ul class="bulk" tabIndex={0} aria-label="Instances" aria-live="polite">
      {instances.map(({ id, service, version, state }) => (
        <li key={id} title={id}>
          <span class="mono name">
            <Clip text={service} />
            <span class="tail">…{tailOf(id)}</span>
          </span>
          <ResultWord
            result={results.get(id)}
            before={version === '' ? state : `${state}, ${version}`}
            isDrain={isDrain}
          />
        </li>
      ))}
    </ul>
  );
}

interface ResultWordProps {
  readonly result: Result | undefined;
  /** The text before a result arrives. */
  readonly before: string;
  readonly isDrain: boolean;
}

function ResultWord({ result, before, isDrain }: ResultWordProps): VNode {
  if (result === undefined) return <Clip text={before} class="faint" />;
  if (result instanceof Error) return <span class="problem">{result.message}</span>;
  return <b>{result === 'done' && isDrain ? 'drained' : 'callable again'}</b>;
}

/** The way to undo the action, also after the dialog is closed. */
function Undo({ instances }: { readonly instances: readonly Instance[] }): VNode {
  return (
    <>
      <p class="faint">To undo it later: “Undrain these…” on this list, or</p>
      <Code text={`rollcall undrain ${instances.map(({ id }) => id).join(' ')}`} what="the command that undoes it" />
    </>
  );
}
