import type { Signal } from '@preact/signals';
import type { VNode } from 'preact';

interface ReasonFieldProps {
  readonly value: Signal<string>;
}

export function ReasonField({ value }: ReasonFieldProps): VNode {
  return (
    <label>
      Reason, for those who read it later
      <input
        type="text"
        maxLength={200}
        value={value.value}
        onInput={({ currentTarget }) => void (value.value = currentTarget.value)}
      />
    </label>
  );
}

const LENGTHS_MIN = [15, 60, 240, 1_440] as const;
export const MINUTE_MS = 60_000;

interface LengthFieldProps {
  /** Minutes; 0: no end, with `none` as its label. */
  readonly minutes: Signal<number>;
  readonly none?: string;
}

/** The duration of an operator's setting. */
export function LengthField({ minutes, none }: LengthFieldProps): VNode {
  return (
    <label>
      For
      <select
        value={String(minutes.value)}
        onChange={({ currentTarget }) => void (minutes.value = Number(currentTarget.value))}
      >
        {none !== undefined && <option value="0">{none}</option>}
        {LENGTHS_MIN.map((length) => (
          <option key={length} value={String(length)}>
            {length < 60 ? `${length} min` : `${length / 60} h`}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The registry rejects an empty reason. */
export const withReason = (reason: string): { readonly reason?: string } =>
  reason.trim() === '' ? {} : { reason: reason.trim() };
