import { DEFAULT_DRAIN_MS, sleep } from '@rollcall/core';
import type { Drain, DrainAnswer, Time } from '@rollcall/core';
import { refuse } from '../access/refusals.js';
import type { CommitLog } from '../commit/commit-log.js';
import type { Feed } from '../feed/feed.js';
import type { Entry } from '../instances/instance-table.js';
import type { LifecycleEngine } from '../lifecycle/engine.js';
import type { Ender, Outcome, Proof } from '../registry-api.js';

export interface DeparturePorts {
  readonly time: Time;
  readonly engine: Pick<LifecycleEngine, 'apply'>;
  readonly feed: Pick<Feed, 'watcherCount'>;
  readonly commits: Pick<CommitLog, 'waitUntilStored'>;
  /** The entry of an id, or the refusal. */
  readonly entryOf: (id: string) => Outcome<Entry>;
  /** The same, for a caller with the secret of the instance. */
  readonly authenticated: (id: string, secret: Proof) => Outcome<Entry>;
}

/**
 * How long a drain waits for the store, ms: clients give up after 3 s, and must learn in time for which watchers they
 * have to wait.
 */
const MAX_DRAIN_WAIT_MS = 1_000;
const RETRIES_FIX =
  'Nothing needs to be done: the registry stores it by itself as soon as it can. Ask again after Retry-After to be sure: 410 says that it is stored.';

/**
 * Drains and removals of instances. Both take effect in memory at once, before they are stored: an instance that goes
 * must get no calls, whatever its disk does. They are acknowledged once they are stored, so that no restart brings back
 * an instance whose removal was acknowledged.
 *
 * If the store refuses, the change still takes effect, and the commit log retries it:
 * - a removal is answered with NOT_READY, like a registration. Nothing waits for it: a client that leaves continues its
 *   own shutdown;
 * - a drain is answered with `stored: false`. Clients read a refusal as "no watchers" and would end at once, under the
 *   calls of callers that do not know yet; that would cost more than a restart within the drain.
 */
export class Departures {
  readonly #ports: DeparturePorts;

  constructor(ports: DeparturePorts) {
    this.#ports = ports;
  }

  async drain(id: string, secret: Proof, { deadlineMs = DEFAULT_DRAIN_MS }: Drain): Promise<Outcome<DrainAnswer>> {
    const { authenticated, feed, engine } = this.#ports;
    const found = authenticated(id, secret);
    if (!found.ok) return found;
    engine.apply(found.value, { type: 'drain', deadlineMs });
    const { namespace, service } = found.value.record;
    const watchers = feed.watcherCount(namespace, service);
    const isStored = await this.#isStoredSoon(id);
    return { ok: true, value: isStored ? { watchers } : { watchers, stored: false } };
  }

  async leave(id: string, ender: Ender | null, why: string): Promise<Outcome<null>> {
    const { authenticated, engine, entryOf, commits } = this.#ports;
    const operator = ender !== null && 'operator' in ender;
    const found = operator ? entryOf(id) : authenticated(id, ender?.secret ?? null);
    if (found.ok) {
      const who = operator ? `removed by ${ender.who ?? 'an operator'}` : 'it said goodbye';
      const text = operator && why !== '' ? `${who}: ${why}` : who;
      engine.apply(found.value, { type: 'end', code: operator ? 'OPERATOR' : 'GOODBYE', text });
    }
    // "ended" is an acknowledgement, too, for a client that asks again
    else if (found.problem.code !== 'ENDED') return found;
    if ((await commits.waitUntilStored(id)) !== null) return unstored(id);
    return found.ok ? { ok: true, value: null } : found;
  }

  /** True if it is stored within `MAX_DRAIN_WAIT_MS`. */
  async #isStoredSoon(id: string): Promise<boolean> {
    const { commits, time } = this.#ports;
    const abort = new AbortController();
    const late = sleep(time, MAX_DRAIN_WAIT_MS, { background: true, signal: abort.signal }).then(() => false);
    const isStored = commits.waitUntilStored(id).then((trouble) => trouble === null);
    return Promise.race([isStored, late]).finally(() => abort.abort());
  }
}

function unstored(id: string): Outcome<never> {
  const detail = `${id} is off the list and watchers are notified, but the registry cannot store that now: after a restart before it can, ${id} would be listed again.`;
  return refuse('NOT_READY', detail, RETRIES_FIX);
}
