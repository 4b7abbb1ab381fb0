import { sleep, systemTime } from '@rollcall/core';
import type { InstanceId } from '@rollcall/core';
import { numberAt } from '../registry/json.js';
import type { RegistryApi } from '../registry/registry-api.js';
import { edgesIn } from '../registry/traffic.js';
import type { Edge } from '../registry/traffic.js';
import type { Shell } from '../terminal/shell.js';
import { ageText } from '../terminal/words.js';

/** Callers count in windows of this length, and tell each once it is over. */
const WINDOW_MS = 5_000;
const LOOK_EVERY_MS = 250;
const USUAL_INTERVAL_MS = 5_000;

export interface DrainWait {
  readonly isQuiet: boolean;
  readonly afterMs: number;
  readonly text: string;
}

interface Wanted {
  readonly id: InstanceId;
  readonly service: string;
  readonly timeoutMs: number;
}

/**
 * Waits until the callers of an instance that gets no new calls have none under way there, by what they tell with their heartbeats, or it
 * is gone. Rejects as the routes do.
 */
export async function untilQuiet(
  api: RegistryApi,
  { id, service, timeoutMs }: Wanted,
  shell: Shell,
): Promise<DrainWait> {
  const startedAt = systemTime.now();
  const over = new AbortController();
  void shell.asksToEnd().then(() => over.abort());
  const about = await api.read('/api/v1/registry');
  const intervalMs = numberAt(about, 'heartbeat', 'intervalMs') ?? USUAL_INTERVAL_MS;
  for (;;) {
    const afterMs = systemTime.now() - startedAt;
    const isTold = afterMs >= toldAfterMs(intervalMs);
    const [found, topology] = await Promise.all([api.instance(id), isTold ? api.topology() : {}]);
    if (found === null) return { isQuiet: true, afterMs, text: `It is gone, after ${ageText(afterMs)}.` };
    const edges = edgesIn(topology).filter(({ to }) => to === service);
    const left = stillThere(edges, id, { afterMs, intervalMs });
    if (left === null) return { isQuiet: true, afterMs, text: `Its calls have ended, after ${ageText(afterMs)}.` };
    if (afterMs >= timeoutMs || over.signal.aborted) {
      return { isQuiet: false, afterMs, text: `After ${ageText(afterMs)} its calls have not ended: ${left}.` };
    }
    await sleep(systemTime, LOOK_EVERY_MS, { signal: over.signal });
  }
}

/** By then each caller has told of the time since. */
const toldAfterMs = (intervalMs: number): number => WINDOW_MS + intervalMs;

/**
 * Why the instance may still have calls; null: it has none. A caller's word counts that says of the time after the drain: once each has
 * had its next heartbeat after its next window. It tells how many attempts ended at each instance, and how many calls are under way at
 * the service as a whole: none under way there means none here. Where some always are, since others are called, it is that nothing ended
 * here in two windows; only a call that takes longer than both is then not seen. A caller with a call under way tells each window: whose
 * last word is older has none left.
 */
export function stillThere(
  edges: readonly Edge[],
  id: InstanceId,
  { afterMs, intervalMs }: { readonly afterMs: number; readonly intervalMs: number },
): string | null {
  const tellMs = toldAfterMs(intervalMs);
  if (afterMs < tellMs) return 'its callers have yet to tell of the time since';
  const busy = edges.filter(({ inFlight, ageMs }) => inFlight > 0 && ageMs <= WINDOW_MS + 2 * intervalMs);
  const [first] = busy;
  if (first === undefined) return null;
  const ended = busy.find(({ targets }) => targets.some((target) => target.instance === id && target.perSecond > 0));
  if (ended !== undefined) return `${ended.from} told of calls that ended there in its last 5 s`;
  const isTold = busy.every(({ perSecond }) => perSecond > 0) && afterMs >= tellMs + WINDOW_MS;
  return isTold ? null : `${first.from} has ${first.inFlight} under way at ${first.to}`;
}
