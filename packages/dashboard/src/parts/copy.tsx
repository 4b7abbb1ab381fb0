import { useSignal } from '@preact/signals';
import type { VNode } from 'preact';

const RESULT_MS = 1_500;

function useCopy(text: string): readonly [string, () => void] {
  const result = useSignal('');
  const show = (word: string): void => {
    result.value = word;
    window.setTimeout(() => (result.value = ''), RESULT_MS);
  };
  const copy = (): void => {
    // pages that are not on a secure origin have no clipboard
    if (navigator.clipboard === undefined) {
      show('select it, please');
      return;
    }
    navigator.clipboard.writeText(text).then(
      () => show('copied'),
      () => show('select it, please'),
    );
  };
  return [result.value, copy];
}

/** A button that copies the text before it. */
export function CopyLink({ text, what }: { readonly text: string; readonly what: string }): VNode {
  const [result, copy] = useCopy(text);
  return (
    <button type="button" class="link" onClick={copy} aria-label={`Copy ${what}`}>
      {result === '' ? 'copy' : result}
    </button>
  );
}

/** Lines to paste. */
export function Code({ text, what }: { readonly text: string; readonly what: string }): VNode {
  const [result, copy] = useCopy(text);
  return (
    <div class="code">
      <pre tabIndex={0} role="region" aria-label={what}>
        {text}
      </pre>
      <button type="button" class="button" onClick={copy} aria-label={`Copy ${what}`}>
        {result === '' ? 'Copy' : result}
      </button>
    </div>
  );
}
