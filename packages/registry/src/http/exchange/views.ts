import type { Outcome, RegistryApi, ServiceAnswer } from '../../registry-api.js';
import { AnswerText } from './response-coding.js';

/** What is kept together, with what was asked, characters and bytes. */
const MOST_KEPT = 32 * 1_048_576;

/** Which instances of a service are asked for. An empty filter lets everything through. */
export interface ServiceQuestion {
  readonly namespace: string;
  readonly name: string;
  readonly states: readonly string[];
  readonly versions: readonly string[];
  readonly zones: readonly string[];
}

/** Where a view stands, and what changed last in it. */
export interface Newest {
  readonly epoch: string;
  readonly revision: number;
  readonly changed: number;
}

interface KeptText {
  /** Whatever the text depends on. */
  readonly of: string;
  readonly answer: AnswerText;
  /** As it was counted: what is made of the text later is counted when it is asked for again. */
  readonly size: number;
}

/** What is told of services, made once where many ask for the same: an answer may be megabytes, and a change may wake thousands. */
export class Views {
  readonly #registry: Pick<RegistryApi, 'service'>;
  /** Known until anything else can happen. */
  readonly #newest = new Map<string, Outcome<Newest>>();
  /** By question, the one that was asked longest ago first. */
  readonly #texts = new Map<string, KeptText>();
  #kept = 0;

  constructor(registry: Pick<RegistryApi, 'service'>) {
    this.#registry = registry;
  }

  newest(namespace: string, name: string): Outcome<Newest> {
    const key = `${namespace}/${name}`;
    const known = this.#newest.get(key);
    if (known !== undefined) return known;
    if (this.#newest.size === 0) queueMicrotask(() => this.#newest.clear());
    const answer = this.#registry.service(namespace, name);
    const newest: Outcome<Newest> = answer.ok ? { ok: true, value: newestOf(answer.value) } : answer;
    this.#newest.set(key, newest);
    return newest;
  }

  /** As JSON. */
  text(question: ServiceQuestion): Outcome<AnswerText> {
    const answer = this.#registry.service(question.namespace, question.name);
    if (!answer.ok) return answer;
    const { epoch, revision, settled, removed } = answer.value;
    const of = `${epoch} ${revision} ${settled} ${removed.length}`;
    const { namespace, name, states, versions, zones } = question;
    const key = JSON.stringify([namespace, name, states, versions, zones]);
    const known = this.#texts.get(key);
    const text = known?.of === of ? known.answer : new AnswerText(JSON.stringify(filtered(answer.value, question)));
    this.#keep(key, { of, answer: text, size: sizeOf(key, text) });
    return { ok: true, value: text };
  }

  #keep(key: string, kept: KeptText): void {
    const former = this.#texts.get(key);
    if (former !== undefined) this.#kept -= former.size;
    this.#kept += kept.size;
    this.#texts.delete(key);
    this.#texts.set(key, kept);
    for (const [oldest, other] of this.#texts) {
      if (this.#kept <= MOST_KEPT) return;
      this.#texts.delete(oldest);
      this.#kept -= other.size;
    }
  }
}

/** With what an entry takes of itself. */
const sizeOf = (key: string, { size }: AnswerText): number => key.length + size + 256;

function newestOf({ epoch, revision, instances, removed }: ServiceAnswer): Newest {
  let changed = 0;
  for (const one of instances) changed = Math.max(changed, one.revision);
  for (const one of removed) changed = Math.max(changed, one.revision);
  return { epoch, revision, changed };
}

export function filtered(answer: ServiceAnswer, { states, versions, zones }: ServiceQuestion): ServiceAnswer {
  const instances = answer.instances.filter(
    ({ state, version, zone }) => fits(states, state) && fits(versions, version) && fits(zones, zone),
  );
  return { ...answer, instances };
}

function fits(wanted: readonly string[], value: string): boolean {
  return wanted.length === 0 || wanted.includes(value);
}
