import { printableText } from '@rollcall/core';
import type { BeatAnswer, Forecast, Log, State } from '@rollcall/core';

/** Of one state so many reasons are logged: a registry that gives ever new ones does not fill the log. */
const MOST_REASONS = 8;

/**
 * What the registry thinks of this instance, by its answers to Heartbeat-2. Logs each change once: at WARN why it is not HEALTHY and what
 * comes next, at INFO that it is HEALTHY, or in a state that it wished itself.
 */
export class OwnState {
  readonly #log: Log;
  readonly #name: string;
  #state: State | null = null;
  /** Codes of the reasons that were logged since the state changed. */
  readonly #reasons = new Set<string>();
  /** Was it in trouble since it was HEALTHY? */
  #wasIll = false;

  constructor(log: Log, name: string) {
    this.#log = log;
    this.#name = name;
  }

  /** As of the last answer; null before, and while the registry does not list it. */
  get state(): State | null {
    return this.#state;
  }

  heard(answer: BeatAnswer): void {
    const { state, reason } = answer;
    const code = reason?.code ?? '';
    const before = this.#state;
    if (state !== before) this.#reasons.clear();
    else if (state === 'HEALTHY' || this.#reasons.has(code) || this.#reasons.size >= MOST_REASONS) return;
    this.#reasons.add(code);
    this.#state = state;
    const isTrouble = state !== 'HEALTHY' && code !== 'NEW' && code !== 'LEAVING' && (code !== '' || !isOwnWish(state));
    if (isTrouble) this.#log.warn(this.#textOf(answer, before));
    else this.#log.info(state === 'HEALTHY' ? this.#wellText() : this.#textOf(answer, null));
    this.#wasIll = isTrouble || (this.#wasIll && state !== 'HEALTHY');
  }

  /** The registry does not list it any more. */
  forget(): void {
    this.#state = null;
    this.#reasons.clear();
  }

  #wellText(): string {
    return `${this.#name} is HEALTHY${this.#wasIll ? ' again' : ''}.`;
  }

  #textOf({ state, reason, next }: BeatAnswer, before: State | null): string {
    const was = before === null || before === state ? '' : ` (was ${before})`;
    const why = reason === undefined || reason.code === 'NEW' ? '' : `: ${printableText(reason.text)}`;
    return `${this.#name} is ${state}${was}${why}.${nextText(next ?? null)}`;
  }
}

/** Without a reason, from a registry of an older version. */
const isOwnWish = (state: State): boolean => state === 'REGISTERING' || state === 'DEREGISTERING';

function nextText(next: Forecast | null): string {
  if (next === null || next.unless === null) return '';
  // counted up, so that nothing comes before it was said to; a newer registry may have other words
  const deed: string | undefined = DEEDS[next.unless];
  const unless = deed === undefined ? '' : `, unless it ${deed}`;
  return ` Next: ${next.state} in ${Math.ceil(next.afterMs / 1_000)} s${unless}.`;
}

const DEEDS = {
  HEARTBEAT_1: 'answers Heartbeat-1',
  HEARTBEAT_2: 'sends Heartbeat-2',
  PROOF: 'does both',
} as const;
