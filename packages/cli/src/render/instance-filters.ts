import { ADMIN_STATES, option, RollcallError, STATES } from '@rollcall/core';
import type { AdminState, Instance, InstanceId, State } from '@rollcall/core';
import type { Heartbeats } from '../registry/heartbeats.js';
import type { Parameter, RegistryApi, ServiceAnswer } from '../registry/registry-api.js';
import { repeated, toggle, valued } from '../terminal/arguments.js';

const SORTS = ['state', 'service', 'since', 'version', 'zone', 'id'] as const;
/** As many instances as a registry tells in one answer. */
const PAGE = 1_000;

/** Which instances of all services are listed, and in which order. */
export const FILTER_FLAGS = {
  '--state': repeated(
    option.list({
      doc: `only in this state: ${STATES.join(', ')}; may be repeated`,
      item: option.oneOf(STATES, { doc: 'a state' }),
      default: [],
    }),
    '<state>',
  ),
  '--admin': repeated(
    option.list({
      doc: `only in this administrative state: ${ADMIN_STATES.join(', ')}; may be repeated`,
      item: option.oneOf(ADMIN_STATES, { doc: 'an administrative state' }),
      default: [],
    }),
    '<state>',
  ),
  '--callable': valued(
    option.oneOf(['yes', 'no'], { doc: 'yes: only instances that callers may call; no: only the others' }),
    '<yes|no>',
  ),
  '--zone': repeated(
    option.list({ doc: 'only in this zone; may be repeated', item: option.string({ doc: 'a zone' }), default: [] }),
    '<zone>',
  ),
  '--version': repeated(
    option.list({ doc: 'only of this version; may be repeated', item: option.string({ doc: 'it' }), default: [] }),
    '<version>',
  ),
  '--search': valued(
    option.string({
      doc: 'only with this text in id, service, version, zone or address',
      pattern: /^[^]{1,128}$/,
      allowed: '1 to 128 characters',
    }),
    '<text>',
  ),
  '--sort': valued(
    option.oneOf(
      SORTS.flatMap((sort) => [sort, `-${sort}`] as const),
      {
        doc: `by ${SORTS.join(', ')}, reversed with a - before it; default: the table the worst first, else by service`,
      },
    ),
    '<field>',
  ),
  '--instances': toggle('ask for instances over all services, as the options above do, without a filter'),
};

/** What they were given. */
export interface Filters {
  readonly '--state': readonly State[];
  readonly '--admin': readonly AdminState[];
  readonly '--callable': 'yes' | 'no' | undefined;
  readonly '--zone': readonly string[];
  readonly '--version': readonly string[];
  readonly '--search': string | undefined;
  readonly '--sort': string | undefined;
  readonly '--instances': boolean;
}

/** The flags that are there; none: everything is listed, service by service. */
export function givenFilters(filters: Filters): readonly string[] {
  return Object.keys(FILTER_FLAGS).filter((flag) => {
    const value: unknown = Reflect.get(filters, flag);
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  });
}

/** May they leave out some instances of a service, so that nothing can be said of the whole? */
export function isSelective(filters: Filters): boolean {
  return givenFilters(filters).some((flag) => flag !== '--sort' && flag !== '--instances');
}

const each = (name: string, values: readonly string[]): readonly Parameter[] => values.map((value) => [name, value]);

/** The parameters of `GET /api/v1/instances`. */
export function questionOf(filters: Filters, { service, withHeartbeats }: Listing): readonly Parameter[] {
  const callable = filters['--callable'];
  return [
    ...each('service', service === null ? [] : [service]),
    ...each('state', filters['--state']),
    ...each('admin', filters['--admin']),
    ...each('callable', callable === undefined ? [] : [String(callable === 'yes')]),
    ...each('zone', filters['--zone']),
    ...each('version', filters['--version']),
    ...each('q', filters['--search'] === undefined ? [] : [filters['--search']]),
    ...each('heartbeats', withHeartbeats ? ['true'] : []),
    // the one order in which no instance is listed twice or left out when it changes between two pages
    ['sort', filters['--sort'] ?? 'service'],
    ['limit', String(PAGE)],
  ];
}

export interface Listing {
  /** Null: of all services. */
  readonly service: string | null;
  readonly withHeartbeats: boolean;
}

/** All that match, page by page. Rejects with PROTOCOL where the pages have no end. */
export async function everyMatch(api: RegistryApi, question: readonly Parameter[]): Promise<ServiceAnswer> {
  const instances = new Map<InstanceId, Instance>();
  const heartbeats = new Map<InstanceId, Heartbeats>();
  for (let after: readonly Parameter[] = []; ;) {
    const page = await api.instances([...question, ...after]);
    const known = instances.size;
    // one that has changed meanwhile may come twice: its last word counts
    for (const instance of page.instances) instances.set(instance.id, instance);
    for (const [id, beats] of page.heartbeats) heartbeats.set(id, beats);
    if (page.next === null) return { revision: page.revision, instances: [...instances.values()], heartbeats };
    if (instances.size === known) {
      throw new RollcallError('PROTOCOL', `${api.url} answers the same page of instances again. Check the address.`);
    }
    after = [['after', page.next]];
  }
}
