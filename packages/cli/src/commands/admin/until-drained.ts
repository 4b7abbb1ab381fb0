import { sleep, systemTime } from '@rollcall/core';
import type { InstanceId } from '@rollcall/core';
import { numberAt } from '../../registry/json.js';
import type { RegistryApi } from '../../registry/registry-api.js';
import { edgesIn } from '../../registry/traffic.js';
import type { Edge } from '../../registry/traffic.js';
import type { Shell } from '../../terminal/shell.js';
import { ageText } from '../../terminal/texts.js';

/** Callers count calls in windows of this length, and report each window at its end. */
const WINDOW_MS = 5_000;
const POLL_MS = 250;
const DEFAULT_INTERVAL_MS = 5_000;

export interface DrainWait {
  readonly isQuiet: boolean;
  readonly afterMs: number;
  readonly text: string;
}

interface DrainWaitOptions {
  readonly id: InstanceId;
  readonly service: string;
  readonly timeoutMs: number;
  /** The time from which it gets no new calls, as `systemTime.now()`. Default: now. */
  readonly since?: number;
}

/**
 * Waits until the callers of an instance that gets no new calls have none in flight there, according to their
 * heartbeats, or the instance is gone. Rejects as the routes do.
 */
export async function waitUntilQuiet(
  api: RegistryApi,
  { id, service, timeoutMs, since: startedAt = systemTime.now() }: DrainWaitOptions,
  shell: Shell,
): Promise<DrainWait> {
  const stopped = new AbortController();
  void shell.waitForSignal().then(() => stopped.abort());
  const status = await api.read('/api/v1/registry');
  const intervalMs = numberAt(status, 'heartbeat', 'intervalMs') ?? DEFAULT_INTERVAL_MS;
  for (;;) {
    const afterMs = systemTime.now() - startedAt;
    const hasReports = afterMs >= reportedAfterMs(intervalMs);
    const [found, topology] = await Promise.all([api.instance(id), hasReports ? api.topology() : {}]);
    if (found === null) return { isQuiet: true, afterMs, text: `It is gone, after ${ageText(afterMs)}.` };
    const edges = edgesIn(topology).filter(({ to }) => to === service);
    const left = remainingCallsText(edges, id, { afterMs, intervalMs });
    if (left === null) return { isQuiet: true, afterMs, text: `Its calls have ended, after ${ageText(afterMs)}.` };
    if (afterMs >= timeoutMs || stopped.signal.aborted) {
      return { isQuiet: false, afterMs, text: `After ${ageText(afterMs)} its calls have not ended: ${left}.` };
    }
    await sleep(systemTime, POLL_MS, { signal: stopped.signal });
  }
}

/** After this time each caller has reported the time since. */
const reportedAfterMs = (intervalMs: number): number => WINDOW_MS + intervalMs;

/**
 * The text about remaining calls; null: it has none. A report counts if it covers the time after the
 * drain: once each caller has sent its next heartbeat after its next window. It has the number of attempts that ended
 * at each instance, and the number of calls in flight at the service as a whole: none in flight there means none here.
 * If some always are, since other instances are called, the instance is quiet once no attempt ended here in two
 * windows; only a call that takes longer than both is then missed. A caller with a call in flight reports each window:
 * a caller with an older last report has none left.
 */
export function remainingCallsText(
  edges: readonly Edge[],
  id: InstanceId,
  { afterMs, intervalMs }: { readonly afterMs: number; readonly intervalMs: number },
): string | null {
  const reportedMs = reportedAfterMs(intervalMs);
  if (afterMs < reportedMs) return 'its callers have not reported the time since';
  const busy = edges.filter(({ inFlight, ageMs }) => inFlight > 0 && ageMs <= WINDOW_MS + 2 * intervalMs);
  const [first] = busy;
  if (first === undefined) return null;
  const ended = busy.find(({ targets }) => targets.some((target) => target.instance === id && target.perSecond > 0));
  if (ended !== undefined) return `${ended.from} reported calls that ended there in its last 5 s`;
  const isReported = busy.every(({ perSecond }) => perSecond > 0) && afterMs >= reportedMs + WINDOW_MS;
  return isReported ? null : `${first.from} has ${first.inFlight} under way at ${first.to}`;
}
