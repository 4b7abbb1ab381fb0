import type { VNode } from 'preact';
import { Head } from '../parts/panel.js';

export function InstanceScreen({ id }: { readonly id: string }): VNode {
  return <Head verdict={id} sentence="" />;
}
