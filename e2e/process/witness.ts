import { HttpRegistryClient } from '@rollcall/client';
import { systemRandom, systemTime } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { Overview } from 'rollcall';
import type { InstanceChange } from 'rollcall';

/** A change and when it arrived, on the clock of `performance.now`. */
export interface RecordedChange extends InstanceChange {
  readonly at: number;
}

/** An observer that watches the whole feed of a registry and remembers all of it. */
export class Witness {
  /** Everything that happened, in order. */
  readonly history: RecordedChange[] = [];
  readonly #url: string;
  #overview: Overview;

  constructor(url: string) {
    this.#url = url;
    this.#overview = this.#watch();
  }

  get instances(): readonly Instance[] {
    return this.#overview.instances;
  }

  get revision(): number {
    return this.#overview.revision;
  }

  /** What happened to one instance from `at` on, in order. */
  since(id: string, at: number): readonly RecordedChange[] {
    return this.history.filter((change) => change.instance.id === id && change.at >= at);
  }

  /** The states of one instance from `at` on, each with its reason's code; the last entry is the reason of its removal. */
  historyOf(id: string, at = 0): readonly string[] {
    return this.since(id, at).map(({ instance, removed }) =>
      removed === null ? `${instance.state} ${instance.reason.code}` : `REMOVED ${removed.reason?.code ?? ''}`,
    );
  }

  /** Keeps only the history, and watches again: another registry serves at the same URL. */
  restart(): void {
    this.#overview.close();
    this.#overview = this.#watch();
  }

  close(): void {
    this.#overview.close();
  }

  #watch(): Overview {
    const overview = new Overview({
      link: new HttpRegistryClient({ url: this.#url, time: systemTime }),
      time: systemTime,
      random: systemRandom,
      changed: (changes) => {
        const at = performance.now();
        this.history.push(...changes.map((change) => ({ ...change, at })));
      },
    });
    overview.start();
    return overview;
  }
}
