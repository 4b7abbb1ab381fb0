import { useSignal } from '@preact/signals';
import type { ComponentChildren, VNode } from 'preact';
import { useSession } from '../../model/live/session.js';
import { ReasonField } from './action-fields.js';
import { Dialog, Problem } from '../dialog.js';

interface ActionDialogProps {
  readonly title: string;
  /** The effect, in a sentence. */
  readonly sentence: ComponentChildren;
  /** On the button. */
  readonly verb: string;
  readonly isDangerous?: boolean;
  /** Text that has to be typed first; empty: none. */
  readonly confirm?: string;
  /** Further fields. */
  readonly children?: ComponentChildren;
  readonly act: (reason: string) => Promise<unknown>;
  readonly done: string;
}

/** A dialog for a change: always with a reason, for later readers. */
export function ActionDialog(props: ActionDialogProps): VNode {
  const { title, sentence, verb, isDangerous = false, confirm = '', children, act, done } = props;
  const { shell } = useSession();
  const reason = useSignal('');
  const typed = useSignal('');
  const problem = useSignal<Error | null>(null);
  const isBusy = useSignal(false);
  const close = (): void => void (shell.dialog.value = null);
  const run = async (event: Event): Promise<void> => {
    event.preventDefault();
    isBusy.value = true;
    try {
      await act(reason.value);
      close();
      shell.notify(done);
    } catch (error) {
      problem.value = error as Error;
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Dialog title={title} onClose={close}>
      <form onSubmit={(event) => void run(event)}>
        <p>{sentence}</p>
        {children}
        <ReasonField value={reason} />
        {confirm !== '' && (
          <label>
            <span>
              Type <b class="mono">{confirm}</b> to go on
            </span>
            <input
              type="text"
              autocomplete="off"
              value={typed.value}
              onInput={({ currentTarget }) => void (typed.value = currentTarget.value)}
            />
          </label>
        )}
        {problem.value !== null && <Problem error={problem.value} />}
        <div class="dialog-actions">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button
            type="submit"
            class={isDangerous ? 'button danger' : 'button primary'}
            disabled={isBusy.value || plain(typed.value) !== plain(confirm)}
          >
            {verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Accepts three dots for the ellipsis, which few keyboards have. */
const plain = (text: string): string => text.trim().replaceAll('…', '...');
