import type { ServiceAnswer } from '@rollcall/core';
import type { Outcome, RegistryApi } from '../../registry-api.js';
import { AnswerText } from './response-coding.js';

/** Maximum size of all cached texts with their keys, characters and bytes. */
const MAX_KEPT = 32 * 1_048_576;

/** A query for instances of a service. An empty filter matches everything. */
export interface ServiceQuestion {
  readonly namespace: string;
  readonly name: string;
  readonly states: readonly string[];
  readonly versions: readonly string[];
  readonly zones: readonly string[];
}

/** The revision of a view, and that of its latest change. */
export interface Newest {
  readonly epoch: string;
  readonly revision: number;
  readonly changed: number;
}

interface KeptText {
  /** A key of everything the text depends on. */
  readonly of: string;
  readonly answer: AnswerText;
  /** The size as counted; encodings added later are counted at the next request. */
  readonly size: number;
}

/**
 * Caches answers about services, so that each is built once for many requests: an answer may be megabytes, and a change
 * may wake thousands of long polls.
 */
export class Views {
  readonly #registry: Pick<RegistryApi, 'service'>;
  /** Valid until the end of the current turn. */
  readonly #newest = new Map<string, Outcome<Newest>>();
  /** By query, least recently used first. */
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

  /** The answer as JSON. */
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
    const previous = this.#texts.get(key);
    if (previous !== undefined) this.#kept -= previous.size;
    this.#kept += kept.size;
    this.#texts.delete(key);
    this.#texts.set(key, kept);
    for (const [oldest, other] of this.#texts) {
      if (this.#kept <= MAX_KEPT) return;
      this.#texts.delete(oldest);
      this.#kept -= other.size;
    }
  }
}

/** Including the overhead of an entry. */
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
