import { printableText } from '@rollcall/core';
import type { BeatAnswer, Forecast, Log, State } from '@rollcall/core';

/** At most this many reasons of one state are logged, so that a registry with ever new reasons does not flood the log. */
const MAX_REASONS = 8;

/**
 * The state of this instance in the answers of the registry to Heartbeat-2. It logs each change once: at WARN why the instance is not
 * HEALTHY and which state comes next, at INFO that it is HEALTHY or in a state that it requested itself.
 */
export class OwnState {
  readonly #log: Log;
  readonly #name: string;
  #state: State | null = null;
  /** The reason codes that were logged since the state changed. */
  readonly #reasons = new Set<string>();
  /** True if a problem was logged since the instance was last HEALTHY. */
  #wasInTrouble = false;

  constructor(log: Log, name: string) {
    this.#log = log;
    this.#name = name;
  }

  /** The state of the last answer; null before the first one, and while the registry does not list the instance. */
  get state(): State | null {
    return this.#state;
  }

  update(answer: BeatAnswer): void {
    const { state, reason } = answer;
    const code = reason?.code ?? '';
    const before = this.#state;
    if (state !== before) this.#reasons.clear();
    else if (state === 'HEALTHY' || this.#reasons.has(code) || this.#reasons.size >= MAX_REASONS) return;
    this.#reasons.add(code);
    this.#state = state;
    const isTrouble =
      state !== 'HEALTHY' && code !== 'NEW' && code !== 'LEAVING' && (code !== '' || !isSelfInitiated(state));
    if (isTrouble) this.#log.warn(this.#textOf(answer, before));
    else this.#log.info(state === 'HEALTHY' ? this.#healthyText() : this.#textOf(answer, null));
    this.#wasInTrouble = isTrouble || (this.#wasInTrouble && state !== 'HEALTHY');
  }

  /** Forgets the state, because the registry no longer lists the instance. */
  forget(): void {
    this.#state = null;
    this.#reasons.clear();
  }

  #healthyText(): string {
    return `${this.#name} is HEALTHY${this.#wasInTrouble ? ' again' : ''}.`;
  }

  #textOf({ state, reason, next }: BeatAnswer, before: State | null): string {
    const was = before === null || before === state ? '' : ` (was ${before})`;
    const why = reason === undefined || reason.code === 'NEW' ? '' : `: ${printableText(reason.text)}`;
    return `${this.#name} is ${state}${was}${why}.${nextText(next ?? null)}`;
  }
}

/** True for a state that the instance requested itself, if an older registry gives no reason. */
const isSelfInitiated = (state: State): boolean => state === 'REGISTERING' || state === 'DEREGISTERING';

function nextText(next: Forecast | null): string {
  if (next === null || next.unless === null) return '';
  // rounded up, so that the change does not come earlier than logged; a newer registry may send other texts
  const prevention: string | undefined = PREVENTIONS[next.unless];
  const unless = prevention === undefined ? '' : `, unless it ${prevention}`;
  return ` Next: ${next.state} in ${Math.ceil(next.afterMs / 1_000)} s${unless}.`;
}

const PREVENTIONS = {
  HEARTBEAT_1: 'answers Heartbeat-1',
  HEARTBEAT_2: 'sends Heartbeat-2',
  PROOF: 'does both',
} as const;
