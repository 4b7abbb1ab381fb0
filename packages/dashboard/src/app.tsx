import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { VNode } from 'preact';
import type { RegistryAnswer } from './model/live/answers.js';
import type { Freshness } from './model/live/feed.js';
import { valueOf } from './model/live/known.js';
import type { Known } from './model/live/known.js';
import { SessionContext, useKnown, useNamespace, useSession, useStaleSince } from './model/live/session.js';
import type { Session } from './model/live/session.js';
import { ageText, clockText } from './model/text/age.js';
import { KEYS, listenToKeys } from './model/view/keys.js';
import { hashOf, screenOf, SCREENS, withFilter } from './model/view/route.js';
import type { Route, Screen } from './model/view/route.js';
import { Dialog } from './parts/dialog.js';
import { Icon, Logo } from './parts/icon.js';
import { noNamespaceText, UnknownNamespace, useUnknownNamespace } from './parts/namespace.js';
import { Head } from './parts/panel.js';
import { Search } from './parts/search.js';
import { EventsScreen } from './screens/events/events.js';
import { InstanceScreen } from './screens/instance/instance.js';
import { InstancesScreen } from './screens/instances.js';
import { Loading } from './screens/loading.js';
import { Locked } from './screens/locked.js';
import { NotFound } from './screens/not-found.js';
import { Overview } from './screens/overview.js';
import { Pictures } from './screens/pictures.js';
import { RegistryScreen } from './screens/registry.js';
import { ServiceScreen } from './screens/service/service.js';
import { ServicesScreen } from './screens/service/services.js';
import { useShownServices } from './screens/shown-services.js';
import { LazyTopology } from './screens/topology/lazy-topology.js';

export function App({ session }: { readonly session: Session }): VNode {
  return (
    <SessionContext.Provider value={session}>
      <Frame />
    </SessionContext.Provider>
  );
}

function Frame(): VNode {
  const { api, feed, shell, route } = useSession();
  const known = useKnown<RegistryAnswer>('api/v1/registry');
  const registry = valueOf(known);
  useEffect(
    () =>
      listenToKeys({
        search: () => document.querySelector<HTMLInputElement>('#search')?.focus(),
        help: () => void (shell.isHelpOpen.value = true),
        clear: () => void (shell.isHelpOpen.value = false),
        pause: () => document.querySelector<HTMLButtonElement>('[data-pause]')?.click(),
      }),
    [shell],
  );
  const isStale = feed.freshness.value.kind === 'stale';
  useFocusOnArrival(placeOf(route.value));
  return (
    <>
      <a class="skip" href="#main" onClick={focusMain}>
        Skip to the content
      </a>
      <header class="banner">
        <a class="brand" href={hashOf('overview')}>
          <Logo />
          <span>Rollcall</span>
        </a>
        <TopBar registry={registry} />
        <NamespaceChoice />
      </header>
      <Navigation registry={registry} />
      <main id="main" tabIndex={-1} class={isStale ? 'is-stale' : ''}>
        {registry?.insecure === true && <Insecure />}
        {isStale && !api.isLocked.value && <StaleBar />}
        {api.isLocked.value ? <Locked /> : <CurrentScreen route={route.value} registry={known} />}
      </main>
      <FreshnessAnnouncement />
      {shell.isHelpOpen.value && <Help />}
      {shell.dialog.value}
      <p class={shell.notice.value === '' ? 'notice' : 'notice shown'} role="status">
        {shell.notice.value}
      </p>
    </>
  );
}

/** The place of a route, without its filters. */
function placeOf(route: Route): string {
  if (route.at === 'instance') return route.id;
  return route.at === 'service' ? `${route.namespace}/${route.name}` : route.at;
}

/** On arrival at a place the focus goes to its start, not to the element that was clicked and is gone. */
function useFocusOnArrival(place: string): void {
  const known = useRef(place);
  // before the next key: after the next paint it would take the focus from an element that this key has opened
  useLayoutEffect(() => {
    if (known.current !== place) document.getElementById('main')?.focus({ preventScroll: true });
    known.current = place;
  }, [place]);
}

function focusMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/** Screens that count and judge the data of the stream. */
const COMPLETE_VIEW_SCREENS: ReadonlySet<Route['at']> = new Set(['overview', 'services', 'instances', 'topology']);

interface CurrentScreenProps {
  readonly route: Route;
  readonly registry: Known<RegistryAnswer>;
}

/** Screens that show one namespace. The events of a namespace that is gone can still be shown. */
const NAMESPACE_SCREENS: ReadonlySet<Route['at']> = new Set([
  'overview',
  'services',
  'instances',
  'topology',
  'events',
]);

function CurrentScreen({ route, registry }: CurrentScreenProps): VNode {
  const { roll } = useSession();
  const staleSince = useStaleSince();
  const unknown = useUnknownNamespace();
  if (COMPLETE_VIEW_SCREENS.has(route.at) && !roll.hasLoaded.value) return <Loading />;
  const notice = unknown === null || !NAMESPACE_SCREENS.has(route.at) ? null : <UnknownNamespace name={unknown} />;
  if (unknown !== null && notice !== null && route.at !== 'events') {
    return (
      <>
        <Head
          verdict={noNamespaceText(unknown, staleSince)}
          sentence={`No service ${staleSince === null ? 'is' : 'was'} registered in it.`}
        />
        {notice}
      </>
    );
  }
  switch (route.at) {
    case 'overview':
      return <Overview registry={registry} />;
    case 'services':
      return <ServicesScreen />;
    case 'service':
      return <ServiceScreen key={`${route.namespace}/${route.name}`} namespace={route.namespace} name={route.name} />;
    case 'instances':
      return <InstancesScreen />;
    case 'instance':
      return <InstanceScreen key={route.id} id={route.id} />;
    case 'topology':
      return <LazyTopology />;
    case 'events':
      return (
        <>
          {notice}
          <EventsScreen />
        </>
      );
    case 'registry':
      return <RegistryScreen />;
    case 'pictures':
      return <Pictures />;
    case 'nowhere':
      return <NotFound path={route.path} />;
  }
}

function TopBar({ registry }: { readonly registry: RegistryAnswer | null }): VNode {
  const { shell } = useSession();
  const theme = shell.theme.value;
  return (
    <div class="top">
      <Search />
      <span class="top-space" />
      <FreshnessPill />
      {registry !== null && (
        <span class="pill role">{registry.visitor?.role ?? (registry.access === 'open' ? 'open' : 'guest')}</span>
      )}
      <button
        type="button"
        class="icon-button"
        aria-label={`Theme: ${theme}`}
        title={`Theme: ${theme}`}
        onClick={() => shell.nextTheme()}
      >
        <Icon name="theme" />
      </button>
    </div>
  );
}

/** Screen readers announce that the connection breaks and is back, not how the seconds pass. */
function FreshnessAnnouncement(): VNode {
  return (
    <p class="visually-hidden" role="status">
      {announcementText(useSession().feed.freshness.value)}
    </p>
  );
}

function announcementText(freshness: Freshness): string {
  if (freshness.kind !== 'stale') return freshness.kind === 'live' ? 'Live' : '';
  return freshness.isSilent
    ? 'This view is old: the registry sends nothing.'
    : 'This view is old: the line to the registry is closed.';
}

function FreshnessPill(): VNode {
  const { feed, clock } = useSession();
  const freshness = feed.freshness.value;
  if (freshness.kind === 'stale') {
    void clock.now.value; // once a second
    const ageMs = Math.max(0, Date.now() - freshness.since);
    return (
      <span class="pill stale">
        <i />
        <span>
          {freshness.isSilent ? 'No message for' : 'Stale'} {ageText(ageMs)}
        </span>
      </span>
    );
  }
  return (
    <span class={`pill ${freshness.kind}`}>
      <i />
      <span>{freshness.kind === 'live' ? 'Live' : 'Connecting'}</span>
    </span>
  );
}

const NAMES: Readonly<Record<Screen, string>> = {
  overview: 'Overview',
  services: 'Services',
  instances: 'Instances',
  topology: 'Topology',
  events: 'Events',
  registry: 'Registry',
};

function Navigation({ registry }: { readonly registry: RegistryAnswer | null }): VNode {
  const { route, roll, shell } = useSession();
  const services = useShownServices().value;
  const namespace = useNamespace();
  const here = screenOf(route.value);
  const filters = namespace === '*' ? {} : { ns: namespace };
  return (
    <nav aria-label="Screens">
      {SCREENS.map((screen) => (
        <a key={screen} href={hashOf(screen, filters)} aria-current={screen === here ? 'page' : undefined}>
          <Icon name={screen} />
          <span>{NAMES[screen]}</span>
          {screen === 'services' && <b>{roll.hasLoaded.value ? services.length : '–'}</b>}
        </a>
      ))}
      <p class="nav-foot">
        {registry !== null && (
          <span>{`${registry.replica.slice(0, 8)}${registry.version === undefined ? '' : ` · rollcall ${registry.version}`}`}</span>
        )}
        <button type="button" class="plain" onClick={() => (shell.isHelpOpen.value = true)}>
          <kbd>?</kbd> keyboard
        </button>
      </p>
    </nav>
  );
}

function NamespaceChoice(): VNode | null {
  const { roll, route } = useSession();
  const names = roll.namespaces.value;
  const chosen = useNamespace();
  if (names.length === 0 && chosen === '*') return null;
  const all = chosen === '*' || names.includes(chosen) ? names : [chosen, ...names];
  return (
    <label class="namespace">
      <select
        aria-label="Namespace"
        value={chosen}
        onChange={({ currentTarget }) => {
          const { value } = currentTarget;
          const base = route.value.at === 'service' ? hashOf('services') : window.location.hash;
          window.location.hash = withFilter(base, 'ns', value);
        }}
      >
        <option value="*">all</option>
        {all.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      <span class="faint">namespace</span>
    </label>
  );
}

function StaleBar(): VNode {
  const { feed, clock } = useSession();
  const freshness = feed.freshness.value;
  void clock.now.value; // once a second
  const now = Date.now();
  const since = freshness.kind === 'stale' ? freshness.since : now;
  const retryAt = freshness.kind === 'stale' ? freshness.retryAt : null;
  const refusal = freshness.kind === 'stale' ? freshness.refusal : null;
  return (
    <div class="stale-bar">
      <Icon name="clock" />
      <p>
        <b>This view is {ageText(now - since)} old.</b>{' '}
        {refusal === null ? brokenText(freshness, since) : `The registry refuses: ${refusal.message} ${refusal.fix}`}{' '}
        {retryAt !== null && `Trying again in ${ageText(Math.max(1_000, retryAt - now))}. `}
        <span class="soft">Your services are not affected: each goes on with its own copy.</span>
      </p>
      <button type="button" class="button" onClick={() => feed.retryNow()}>
        Try now
      </button>
    </div>
  );
}

/** The text of a broken connection; one that did not close is not reported as closed. */
function brokenText(freshness: Freshness, since: number): string {
  const isSilent = freshness.kind === 'stale' && freshness.isSilent;
  return isSilent
    ? `The registry has sent nothing since ${clockText(since)}; it has not closed the line.`
    : `The line to the registry closed at ${clockText(since)}.`;
}

function Insecure(): VNode {
  return (
    <p class="insecure">
      <b>This registry is insecure.</b> Any client that reaches its port may register, read and remove, as it was
      started with that option.
    </p>
  );
}

function Help(): VNode {
  const { shell } = useSession();
  return (
    <Dialog title="Keyboard" onClose={() => void (shell.isHelpOpen.value = false)}>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split(' ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="dialog-actions">
        <a class="button" href={hashOf('pictures')} onClick={() => void (shell.isHelpOpen.value = false)}>
          What the pictures mean
        </a>
        <button type="button" class="button" onClick={() => void (shell.isHelpOpen.value = false)}>
          Close
        </button>
      </p>
    </Dialog>
  );
}
