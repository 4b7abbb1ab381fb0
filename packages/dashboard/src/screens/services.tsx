import type { VNode } from 'preact';
import { Head } from '../parts/panel.js';

export function ServicesScreen(): VNode {
  return <Head verdict="Services" sentence="" />;
}
