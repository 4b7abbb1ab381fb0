import type { VNode } from 'preact';
import { Head } from '../parts/panel.js';

export function RegistryScreen(): VNode {
  return <Head verdict="Registry" sentence="" />;
}
