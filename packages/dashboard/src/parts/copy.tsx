import { useSignal } from '@preact/signals';
import type { VNode } from 'preact';

const SAID_MS = 1_500;

function useCopy(text: string): readonly [string, () => void] {
  const said = useSignal('');
  const tell = (word: string): void => {
    said.value = word;
    window.setTimeout(() => (said.value = ''), SAID_MS);
  };
  const copy = (): void => {
    // pages that are not on a secure origin have no clipboard
    if (navigator.clipboard === undefined) {
      tell('select it, please');
      return;
    }
    navigator.clipboard.writeText(text).then(
      () => tell('copied'),
      () => tell('select it, please'),
    );
  };
  return [said.value, copy];
}

/** A word that copies what stands before it. */
export function CopyWord({ text, what }: { readonly text: string; readonly what: string }): VNode {
  const [said, copy] = useCopy(text);
  return (
    <button type="button" class="link" onClick={copy} aria-label={`Copy ${what}`}>
      {said === '' ? 'copy' : said}
    </button>
  );
}

/** Lines to paste. */
export function Code({ text, what }: { readonly text: string; readonly what: string }): VNode {
  const [said, copy] = useCopy(text);
  return (
    <div class="code">
      <pre tabIndex={0} role="region" aria-label={what}>
        {text}
      </pre>
      <button type="button" class="button" onClick={copy} aria-label={`Copy ${what}`}>
        {said === '' ? 'Copy' : said}
      </button>
    </div>
  );
}
