import type { VNode } from 'preact';
import { useSession } from '../model/live/session.js';
import type { Session } from '../model/live/session.js';
import { routeOf, withFilter } from '../model/view/route.js';

/** Changes a filter of the current place. It is not a step of the history: `back` leaves the screen, not a letter. */
export function setFilter({ route }: Session, key: string, value: string): void {
  const hash = withFilter(window.location.hash, key, value);
  window.history.replaceState(null, '', hash);
  route.value = routeOf(hash);
}

interface TextFilterProps {
  readonly label: string;
  readonly placeholder: string;
}

/** The typed text is the filter `q` at once. */
export function TextFilter({ label, placeholder }: TextFilterProps): VNode {
  const session = useSession();
  return (
    <label class="chip field">
      <span class="visually-hidden">{label}</span>
      <input
        type="text"
        autocomplete="off"
        spellcheck={false}
        placeholder={placeholder}
        value={session.route.value.filters['q'] ?? ''}
        onInput={({ currentTarget }) => setFilter(session, 'q', currentTarget.value)}
      />
    </label>
  );
}

interface ChoiceProps {
  /** The key of the filter, and its label. */
  readonly name: string;
  readonly label: string;
  /** Values with their labels; a plain text is both. */
  readonly choices: readonly (string | readonly [string, string])[];
  /** The label of no choice; default `any`. */
  readonly none?: string;
}

export function Choice({ name, label, choices, none = 'any' }: ChoiceProps): VNode {
  const session = useSession();
  const chosen = session.route.value.filters[name] ?? '';
  const options = choices.map((choice) => (typeof choice === 'string' ? ([choice, choice] as const) : choice));
  const isKnown = chosen === '' || options.some(([value]) => value === chosen);
  return (
    <label class="chip" aria-current={chosen === '' ? undefined : 'true'}>
      {label}
      <select
        value={chosen}
        title={chosen}
        onChange={({ currentTarget }) => setFilter(session, name, currentTarget.value)}
      >
        <option value="">{none}</option>
        {!isKnown && <option value={chosen}>{chosen}</option>}
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
