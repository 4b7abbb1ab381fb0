import type { VNode } from 'preact';
import { Head } from '../parts/panel.js';

export function ServiceScreen({ name }: { readonly namespace: string; readonly name: string }): VNode {
  return <Head verdict={name} sentence="" />;
}
