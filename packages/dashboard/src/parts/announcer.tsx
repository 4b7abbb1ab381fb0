import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { VNode } from 'preact';

/** Reads a verdict out when it changes, at most every 10 s. */
export function Announcer({ text }: { readonly text: string }): VNode {
  const announced = useSignal(text);
  const newest = useRef(text);
  newest.current = text;
  useEffect(() => {
    const timer = window.setInterval(() => (announced.value = newest.current), 10_000);
    return () => window.clearInterval(timer);
  }, [announced]);
  return (
    <p class="visually-hidden" aria-live="polite">
      {announced.value}
    </p>
  );
}
