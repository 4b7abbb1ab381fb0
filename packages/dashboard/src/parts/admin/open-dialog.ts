import type { VNode } from 'preact';
import type { Shell } from '../../model/live/shell.js';

/**
 * Opens a dialog whose script is loaded on demand: the first screen does not need it. If loading fails, because the
 * registry does not answer or has another version now, a notice is shown.
 */
export function openDialog(shell: Shell, load: () => Promise<VNode>): void {
  load().then(
    (dialog) => void (shell.dialog.value = dialog),
    () => shell.notify('This dialog could not be loaded. Reload the page.'),
  );
}
