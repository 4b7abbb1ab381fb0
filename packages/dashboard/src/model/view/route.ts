/** The current place, kept behind the `#`: it works at any path prefix, and every view can be linked to. */

export const SCREENS = ['overview', 'services', 'instances', 'topology', 'events', 'registry'] as const;
export type Screen = (typeof SCREENS)[number];

export type Filters = Readonly<Record<string, string>>;

export type Route =
  | { readonly at: 'overview' | 'topology' | 'registry' | 'pictures'; readonly filters: Filters }
  | { readonly at: 'services' | 'instances' | 'events'; readonly filters: Filters }
  | { readonly at: 'service'; readonly namespace: string; readonly name: string; readonly filters: Filters }
  | { readonly at: 'instance'; readonly id: string; readonly filters: Filters }
  | { readonly at: 'nowhere'; readonly path: string; readonly filters: Filters };

/** Parses `location.hash`; anything that `hashOf` does not make is `nowhere`. */
export function routeOf(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#?\/?/, '').split('?', 2);
  const filters = Object.fromEntries(new URLSearchParams(query));
  const [at = '', ...segments] = path.split('/').map(decoded);
  switch (at) {
    case '':
      return { at: 'overview', filters };
    case 'overview':
    case 'topology':
    case 'registry':
    case 'pictures':
    case 'events':
      return segments.length === 0 ? { at, filters } : { at: 'nowhere', path, filters };
    case 'services':
      return servicesRoute(segments, path, filters);
    case 'instances': {
      const [id = ''] = segments;
      return id === '' ? { at: 'instances', filters } : { at: 'instance', id, filters };
    }
    default:
      return { at: 'nowhere', path, filters };
  }
}

function servicesRoute(segments: readonly string[], path: string, filters: Filters): Route {
  const [namespace, name] = segments;
  if (namespace === undefined) return { at: 'services', filters };
  return name === undefined ? { at: 'nowhere', path, filters } : { at: 'service', namespace, name, filters };
}

/** An address that was typed by hand may be invalid. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The link to a screen, with its filters. */
export function hashOf(screen: Screen | 'pictures', filters: Filters = {}): string {
  return `#/${screen}${queryOf(filters)}`;
}

export const serviceHash = (namespace: string, name: string, filters: Filters = {}): string =>
  `#/services/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}${queryOf(filters)}`;

export const instanceHash = (id: string): string => `#/instances/${encodeURIComponent(id)}`;

/** The same place with other filters; an empty one is left out. */
export function withFilter(hash: string, key: string, value: string): string {
  const [path = '', query = ''] = hash.split('?', 2);
  const filters = { ...Object.fromEntries(new URLSearchParams(query)), [key]: value };
  return `${path === '' ? '#/overview' : path}${queryOf(filters)}`;
}

function queryOf(filters: Filters): string {
  const given = Object.entries(filters).filter(([, value]) => value !== '');
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}

/** The entry of the navigation that a place belongs to. */
export function screenOf(route: Route): Screen {
  switch (route.at) {
    case 'service':
    case 'instance':
    case 'pictures':
      return 'services';
    case 'nowhere':
      return 'overview';
    default:
      return route.at;
  }
}

/**
 * The current address. A link within the page (`isOwn`) does not name the shown namespace, and keeps it; one that was
 * typed, pasted or opened is complete.
 */
export function resolveHash(hash: string, isOwn: boolean, namespace: string | undefined): string {
  const isKept = isOwn && namespace !== undefined && routeOf(hash).filters['ns'] === undefined;
  return isKept ? withFilter(hash, 'ns', namespace) : hash;
}
