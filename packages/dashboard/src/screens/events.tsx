import type { VNode } from 'preact';
import { Head } from '../parts/panel.js';

export function EventsScreen(): VNode {
  return <Head verdict="Events" sentence="" />;
}
