import type { VNode } from 'preact';
import type { Shell } from '../../model/live/shell.js';

/**
 * Opens a dialog whose script is loaded only now: the first screen does without it. Where it does not come, because the registry does not
 * answer or has another version meanwhile, that is said.
 */
export function openDialog(shell: Shell, load: () => Promise<VNode>): void {
  load().then(
    (dialog) => void (shell.dialog.value = dialog),
    () => shell.say('This dialog could not be loaded. Reload the page.'),
  );
}
