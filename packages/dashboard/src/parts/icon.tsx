import type { VNode } from 'preact';

/** 16 × 16, drawn with a stroke of the text's colour. */
const PATHS = {
  overview: 'M2.5 2.5h4.4v4.4H2.5zM9.1 2.5h4.4v4.4H9.1zM2.5 9.1h4.4v4.4H2.5zM9.1 9.1h4.4v4.4H9.1z',
  services: 'M2 4h12M2 8h12M2 12h12M5 2.8v2.4M10.5 6.8v2.4M7 10.8v2.4',
  instances:
    'M4.6 2.7a1.9 1.9 0 1 1 0 3.8 1.9 1.9 0 0 1 0-3.8zM11.4 2.7a1.9 1.9 0 1 1 0 3.8 1.9 1.9 0 0 1 0-3.8zM4.6 9.5a1.9 1.9 0 1 1 0 3.8 1.9 1.9 0 0 1 0-3.8zM11.4 9.5a1.9 1.9 0 1 1 0 3.8 1.9 1.9 0 0 1 0-3.8z',
  topology:
    'M5.4 7.1l5.3-2.7M5.4 8.9l5.3 2.7M3.6 6.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zM12.4 1.9a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zM12.4 10.5a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6z',
  events: 'M2.5 4h.6M2.5 8h.6M2.5 12h.6M6 4h7.5M6 8h7.5M6 12h7.5',
  registry: 'M2.5 2.8h11v4.2h-11zM2.5 9h11v4.2h-11zM5 4.9h.6M5 11.1h.6',
  search: 'M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.3 10.3l3.4 3.4',
  clock: 'M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 4.8V8l2.2 1.6',
  theme: 'M8 2.2a5.8 5.8 0 1 1 0 11.6zM8 2.2a5.8 5.8 0 0 0 0 11.6z',
  person: 'M8 2.6a2.4 2.4 0 1 1 0 4.8 2.4 2.4 0 0 1 0-4.8zM3.2 13.4c.5-2.8 2.3-4.2 4.8-4.2s4.3 1.4 4.8 4.2',
  dot: 'M8 7.2a.8.8 0 1 1 0 1.6.8.8 0 0 1 0-1.6z',
  circuit: 'M1.5 9.5h4l5-3.2M10.5 9.5h4',
  shield: 'M8 2l5 1.8v3.9c0 3-2 5.2-5 6.3-3-1.1-5-3.3-5-6.3V3.8z',
  close: 'M4 4l8 8M12 4l-8 8',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }): VNode {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path
        d={PATHS[name]}
        fill={name === 'dot' ? 'currentColor' : 'none'}
        stroke="currentColor"
        stroke-width="1.4"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
      {name === 'theme' && <path d="M8 2.2a5.8 5.8 0 1 1 0 11.6z" fill="currentColor" />}
    </svg>
  );
}

/** Two arrows, point-symmetric: we call it, it calls us. */
export function Logo(): VNode {
  return (
    <svg class="logo" viewBox="0 0 24 24" aria-hidden="true">
      <g fill="none" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round">
        <path class="logo-1" d="M8 7.6h12.2M16.6 4l3.6 3.6-3.6 3.6" />
        <path class="logo-2" d="M16 16.4H3.8M7.4 12.8l-3.6 3.6 3.6 3.6" />
      </g>
      <circle class="logo-dot-1" cx="3.6" cy="7.6" r="1.7" />
      <circle class="logo-dot-2" cx="20.4" cy="16.4" r="1.7" />
    </svg>
  );
}
