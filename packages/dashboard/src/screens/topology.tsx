import type { VNode } from 'preact';
import { Head } from '../parts/panel.js';

export function TopologyScreen(): VNode {
  return <Head verdict="Topology" sentence="" />;
}
