import { createContext } from 'preact';
import { useContext, useEffect } from 'preact/hooks';
import { signal, useSignal } from '@preact/signals';
import type { ReadonlySignal, Signal } from '@preact/signals';
import { Api } from './api.js';
import { Clock } from './clock.js';
import { Feed } from './feed.js';
import { Roll } from './roll.js';
import { routeOf, withFilter } from './route.js';
import type { Route } from './route.js';
import { Shell } from './shell.js';

/** Everything one page has: made once, handed down, closed with it. */
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
  window.addEventListener('hashchange', () => {
    // a link within the page says nothing of the namespace, and leads nowhere else
    const chosen = route.value.filters['ns'];
    const { hash } = window.location;
    const isTold = chosen === undefined || routeOf(hash).filters['ns'] !== undefined;
    if (!isTold) window.history.replaceState(null, '', withFilter(hash, 'ns', chosen));
    route.value = routeOf(window.location.hash);
  });
  clock.start();
  feed.start();
  return { clock, api, roll, feed, route, shell: new Shell() };
}

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('There is no session: draw this inside <App>.');
  return session;
}

/** When the view is old: when its last word came, by this browser's wall clock; null: it is live, or there is none yet. */
export function useStaleSince(): number | null {
  const { value } = useSession().feed.freshness;
  return value.kind === 'stale' ? value.since : null;
}

/** The namespace that is shown: of the filter `ns`, which links within the page keep; `*`: all. */
export function useNamespace(): string {
  return useSession().route.value.filters['ns'] ?? '*';
}

export interface Answer<Value> {
  /** The newest answer; null: there was none yet. */
  readonly value: Value | null;
  /** Why the newest question was not answered; null: it was. */
  readonly error: Error | null;
}

/**
 * What the registry answers to a GET, asked anew every so many milliseconds, and with `onNews` whenever the feed brought something (at most
 * once a second). A hidden tab asks nothing. The last answer stays while a new one is on its way.
 */
export function useAnswer<Value>(
  path: string | null,
  { everyMs = 5_000, onNews = false }: { readonly everyMs?: number; readonly onNews?: boolean } = {},
): ReadonlySignal<Answer<Value>> {
  const { api, feed } = useSession();
  const answer = useSignal<Answer<Value>>({ value: null, error: null });
  useEffect(() => {
    if (path === null) return undefined;
    const gone = new AbortController();
    let askedAt = 0;
    let isAsking = false;
    let due: number | null = null;
    const ask = async (): Promise<void> => {
      // a browser has few connections to one registry, and the feed needs one of them
      if (isAsking || api.isLocked.peek()) return;
      isAsking = true;
      askedAt = Date.now();
      try {
        const value = await api.get<Value>(path, AbortSignal.any([gone.signal, AbortSignal.timeout(PATIENCE_MS)]));
        if (!gone.signal.aborted) answer.value = { value, error: null };
      } catch (error) {
        if (!gone.signal.aborted) answer.value = { value: answer.peek().value, error: error as Error };
      } finally {
        isAsking = false;
      }
    };
    const askSoon = (): void => {
      if (document.hidden) return;
      due ??= window.setTimeout(
        () => {
          due = null;
          void ask();
        },
        Math.max(0, askedAt + MOST_OFTEN_MS - Date.now()),
      );
    };
    void ask();
    const unlocked = api.isLocked.subscribe((isLocked) => {
      if (!isLocked) askSoon();
    });
    const timer = window.setInterval(askSoon, everyMs);
    const unsubscribe = onNews ? feed.news.subscribe(askSoon) : (): void => {};
    return () => {
      gone.abort();
      window.clearInterval(timer);
      if (due !== null) window.clearTimeout(due);
      unsubscribe();
      unlocked();
    };
  }, [path, everyMs, onNews]);
  return answer;
}

const MOST_OFTEN_MS = 1_000;
/** An answer that takes longer will not come. */
export const PATIENCE_MS = 10_000;
