import { signal, useSignal } from '@preact/signals';
import type { FunctionComponent, VNode } from 'preact';
import { useEffect } from 'preact/hooks';
import { Head } from '../../parts/panel.js';

/** Null: the script has not arrived yet. It is loaded once per page. */
const screen = signal<FunctionComponent | null>(null);

/** The topology screen, in a script of its own: the first script has a budget, and the first screen does not need it. */
export function LazyTopology(): VNode {
  const hasFailed = useSignal(false);
  useEffect(() => {
    if (screen.value !== null) return;
    import('./topology.js').then(
      ({ TopologyScreen }) => void (screen.value = TopologyScreen),
      () => void (hasFailed.value = true),
    );
  }, []);
  const { value: Topology } = screen;
  if (Topology !== null) return <Topology />;
  if (!hasFailed.value) return <Head title="Topology" verdict="The calls between services: loading …" sentence="" />;
  return (
    <Head
      title="Topology"
      verdict="This screen could not be loaded."
      sentence="The registry did not answer, or runs another version now. Reload the page."
    >
      <p class="actions">
        <button type="button" class="button" onClick={() => window.location.reload()}>
          Reload
        </button>
      </p>
    </Head>
  );
}
