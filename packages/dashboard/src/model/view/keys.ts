import { hashOf } from './route.js';
import type { Screen } from './route.js';

/** The keys, as they are listed under `?`. */
export const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'search'],
  ['j k', 'next row, row before'],
  ['Enter', 'open'],
  ['Esc', 'close, clear'],
  ['g o', 'overview'],
  ['g s', 'services'],
  ['g i', 'instances'],
  ['g t', 'topology'],
  ['g e', 'events'],
  ['g r', 'registry'],
  ['[ ]', 'problem before, next problem of the rows that are drawn'],
  ['p', 'pause the events'],
  ['?', 'this list'],
];

const SCREEN_KEYS: Readonly<Record<string, Screen>> = {
  o: 'overview',
  s: 'services',
  i: 'instances',
  t: 'topology',
  e: 'events',
  r: 'registry',
};

export interface KeyActions {
  readonly search: () => void;
  readonly help: () => void;
  readonly clear: () => void;
  readonly pause: () => void;
}

const CHORD_MS = 1_500;
const FIELDS = 'input, textarea, select';

/** Listens to the whole page; the returned function ends it. Keys in a field, or with a modifier, are ignored. */
export function listenToKeys(actions: KeyActions): () => void {
  let prefixAt = -Infinity;
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const field = event.target instanceof HTMLElement ? event.target.closest<HTMLElement>(FIELDS) : null;
    const isTyping = field !== null;
    if (event.key === 'Escape') {
      field?.blur();
      actions.clear();
      return;
    }
    if (isTyping || document.querySelector('dialog[open]') !== null) return;
    const screen = performance.now() - prefixAt < CHORD_MS ? SCREEN_KEYS[event.key] : undefined;
    prefixAt = event.key === 'g' ? performance.now() : -Infinity;
    if (screen !== undefined) window.location.hash = hashOf(screen);
    else if (!act(event.key, actions)) return;
    event.preventDefault();
  };
  window.addEventListener('keydown', onKey);
  return () => window.removeEventListener('keydown', onKey);
}

function act(key: string, actions: KeyActions): boolean {
  switch (key) {
    case '/':
      actions.search();
      return true;
    case '?':
      actions.help();
      return true;
    case 'p':
      actions.pause();
      return true;
    case 'j':
    case 'k':
      return moveFocus('[data-row]', key === 'j' ? 1 : -1);
    case ']':
    case '[':
      return moveFocus('[data-problem]', key === ']' ? 1 : -1);
    default:
      return false;
  }
}

/** Moves the focus to the next of these elements; the link of a row gets it. */
function moveFocus(selector: string, by: 1 | -1): boolean {
  const rows = [...document.querySelectorAll<HTMLElement>(selector)].filter((row) => row.offsetParent !== null);
  if (rows.length === 0) return false;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  const row = rows[next];
  const link = row?.matches('a, button') === true ? row : row?.querySelector<HTMLElement>('a, button');
  link?.focus();
  link?.scrollIntoView({ block: 'nearest' });
  return true;
}
