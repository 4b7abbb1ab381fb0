import { useEffect, useRef } from 'preact/hooks';
import type { ComponentChildren, VNode } from 'preact';
import { Refusal } from '../model/live/api.js';

interface DialogProps {
  readonly title: string;
  readonly children: ComponentChildren;
  readonly onClose: () => void;
}

/** A modal dialog; Escape and a click beside it close it, and the focus returns to its former place. */
export function Dialog({ title, children, onClose }: DialogProps): VNode {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const { current } = box;
    if (current !== null && !current.open) current.showModal();
    return () => current?.close();
  }, []);
  const closeBeside = (event: MouseEvent): void => {
    if (event.target === box.current) onClose();
  };
  return (
    <dialog ref={box} aria-label={title} onCancel={onClose} onClick={closeBeside}>
      <div class="dialog">
        <h2>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

/** An error, and what to do. */
export function Problem({ error }: { readonly error: Error }): VNode {
  return (
    <p class="problem" role="alert">
      {error instanceof Refusal ? error.message : 'The registry did not answer.'}
      {error instanceof Refusal && error.fix !== '' && <span class="faint"> {error.fix}</span>}
    </p>
  );
}
