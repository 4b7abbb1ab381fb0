import { createContext } from 'preact';
import { useContext, useEffect, useMemo } from 'preact/hooks';
import { signal } from '@preact/signals';
import type { ReadonlySignal, Signal } from '@preact/signals';
import { resolveHash, routeOf, withFilter } from '../view/route.js';
import type { Route } from '../view/route.js';
import { Shell } from './shell.js';
import { Api } from './api.js';
import { Clock } from './clock.js';
import { Feed } from './feed.js';
import { knownOf } from './known.js';
import type { Answer, Known } from './known.js';
import { Roll } from './roll.js';

/** The state of one page: created once, passed down, kept as long as the page. */
export interface Session {
  readonly clock: Clock;
  readonly api: Api;
  readonly roll: Roll;
  readonly feed: Feed;
  readonly route: Signal<Route>;
  readonly shell: Shell;
}

export function openSession(): Session {
  const clock = new Clock();
  const api = new Api(clock);
  const roll = new Roll();
  const feed = new Feed(api, roll);
  const route = signal(routeOf(window.location.hash));
  const isOwn = watchNavigation();
  window.addEventListener('hashchange', () => {
    const { hash } = window.location;
    const at = resolveHash(hash, isOwn(hash), route.value.filters['ns']);
    if (at !== hash) window.history.replaceState(null, '', at);
    route.value = routeOf(at);
  });
  clock.start();
  feed.start();
  return { clock, api, roll, feed, route, shell: new Shell() };
}

/** The target of a key: any place. */
const ANY = Symbol('any');

/**
 * True if a change of the address comes from this page: from a clicked link, or from a key. A user who goes to the
 * address bar takes the focus from the page first.
 */
function watchNavigation(): (hash: string) => boolean {
  let expected: string | typeof ANY | null = null;
  const onClick = ({ target, button, ctrlKey, metaKey, shiftKey }: MouseEvent): void => {
    const isHere = button === 0 && !ctrlKey && !metaKey && !shiftKey;
    expected = isHere && target instanceof Element ? (target.closest('a')?.hash ?? null) : null;
  };
  window.addEventListener('click', onClick, { capture: true });
  window.addEventListener('keydown', () => void (expected = ANY), { capture: true });
  window.addEventListener('blur', () => void (expected = null));
  return (hash) => {
    const isOwn = expected === ANY || expected === hash;
    expected = null;
    return isOwn;
  };
}

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('There is no session: draw this inside <App>.');
  return session;
}

/**
 * The time of the last message of an old view, by this browser's wall clock; null: it is live, or there was no message
 * yet.
 */
export function useStaleSince(): number | null {
  const { value } = useSession().feed.freshness;
  return value.kind === 'stale' ? value.since : null;
}

/** The namespace that is shown: of the filter `ns`, which links within the page keep; `*`: all. */
export function useNamespace(): string {
  return useSession().route.value.filters['ns'] ?? '*';
}

/** Links to the current place with another filter. The caller is drawn again when the place or its filters change. */
export function useFilterLink(): (key: string, value: string) => string {
  void useSession().route.value;
  return (key, value) => withFilter(window.location.hash, key, value);
}

interface PollingOptions {
  readonly everyMs: number;
  /** True if each change of the feed triggers a request, at most once a second. */
  readonly onChange: boolean;
}

/**
 * Requests at once, every `everyMs` milliseconds, and when the page is unlocked, live or visible again; one request at
 * a time, and none while the tab is hidden, the registry requires a token, or is silent. `key` names the request:
 * another one starts again, null requests nothing. `ask` handles its result itself.
 */
export function usePolling(
  key: string | null,
  { everyMs, onChange }: PollingOptions,
  request: (aborted: AbortSignal) => Promise<void>,
): void {
  const { api, feed } = useSession();
  useEffect(() => {
    if (key === null) return undefined;
    const aborted = new AbortController();
    let requestedAt = 0;
    let isRequesting = false;
    let due: number | null = null;
    const requestNow = async (): Promise<void> => {
      // a browser opens few connections to one registry, and the feed needs one of them
      if (isRequesting || document.hidden || api.isLocked.peek() || isSilent(feed)) return;
      isRequesting = true;
      requestedAt = Date.now();
      await request(AbortSignal.any([aborted.signal, AbortSignal.timeout(TIMEOUT_MS)]));
      isRequesting = false;
    };
    const requestSoon = (): void => {
      due ??= window.setTimeout(
        () => {
          due = null;
          void requestNow();
        },
        Math.max(0, requestedAt + MIN_INTERVAL_MS - Date.now()),
      );
    };
    const timer = window.setInterval(requestSoon, everyMs);
    const unsubscribe = onChange ? feed.changeCount.subscribe(requestSoon) : (): void => {};
    // it calls at once: that is the first request
    const unsubscribeLock = api.isLocked.subscribe((isLocked) => {
      if (!isLocked) requestSoon();
    });
    const unsubscribeFreshness = feed.freshness.subscribe(({ kind }) => {
      if (kind === 'live') requestSoon();
    });
    // the data of a hidden tab may be hours old
    const onVisible = (): void => {
      if (!document.hidden) requestSoon();
    };
    document.addEventListener('visibilitychange', onVisible);
    return () => {
      document.removeEventListener('visibilitychange', onVisible);
      unsubscribeFreshness();
      aborted.abort();
      window.clearInterval(timer);
      if (due !== null) window.clearTimeout(due);
      unsubscribe();
      unsubscribeLock();
    };
  }, [key, everyMs, onChange]);
}

/**
 * The registry's answer to a GET, requested repeatedly as by `useAsking`. The last answer stays while a new one is
 * requested.
 */
export function useAnswer<Value>(
  path: string | null,
  { everyMs = 5_000, onChange = false }: Partial<PollingOptions> = {},
): ReadonlySignal<Answer<Value>> {
  const { api } = useSession();
  // the answer to another request is not valid for this one
  const answer = useMemo(
    () => signal<Answer<Value>>({ value: null, error: null, receivedAt: null, requestedAt: Date.now() }),
    [path],
  );
  usePolling(path, { everyMs, onChange }, async (aborted) => {
    try {
      const value = await api.get<Value>(path ?? '', aborted);
      if (!aborted.aborted) answer.value = { ...answer.peek(), value, error: null, receivedAt: Date.now() };
    } catch (error) {
      if (isAborted(error)) return;
      answer.value = { ...answer.peek(), error: error as Error };
    }
  });
  return answer;
}

/** Like `useAnswer`, as a known value on a page that may be old. */
export function useKnown<Value>(path: string | null, options: Partial<PollingOptions> = {}): Known<Value> {
  return knownOf(useAnswer<Value>(path, options).value, useStaleSince());
}

const isSilent = ({ freshness }: Feed): boolean => {
  const { value } = freshness;
  return value.kind === 'stale' && value.isSilent;
};

/** True if the request failed because the page has moved on, not because of the registry. */
export const isAborted = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';

const MIN_INTERVAL_MS = 1_000;
/** A longer request counts as failed. */
const TIMEOUT_MS = 10_000;
