import { ADMIN_STATES, nearest, option, RollcallError, STATES } from '@rollcall/core';
import type { AdminState, Instance, InstanceId, State } from '@rollcall/core';
import type { Heartbeats } from '../registry/heartbeats.js';
import type { Parameter, RegistryApi, ServiceAnswer } from '../registry/registry-api.js';
import { repeated, toggle, valued } from '../terminal/arguments.js';

const SORTS = ['state', 'service', 'since', 'version', 'zone', 'id'] as const;
/** The maximum number of instances in one answer of a registry. */
const PAGE_SIZE = 1_000;

/** Selects and sorts the listed instances of all services. */
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
  '--weight': valued(option.number({ doc: 'only of this effective weight', min: 0, max: 1_000, integer: true }), '<n>'),
  '--circuit': valued(
    option.oneOf(['open', 'closed'], {
      doc: 'open: only instances to which a caller keeps its circuit open, or half-open; closed: only the others',
    }),
    '<open|closed>',
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
        doc: `by ${SORTS.join(', ')}, reversed with a - before it; default: worst first in the table, else by service`,
      },
    ),
    '<field>',
  ),
  '--instances': toggle('ask for instances over all services, as the options above do, without a filter'),
};

/** The given values. */
export interface Filters {
  readonly '--state': readonly State[];
  readonly '--admin': readonly AdminState[];
  readonly '--callable': 'yes' | 'no' | undefined;
  readonly '--zone': readonly string[];
  readonly '--version': readonly string[];
  readonly '--weight': number | undefined;
  readonly '--circuit': 'open' | 'closed' | undefined;
  readonly '--search': string | undefined;
  readonly '--sort': string | undefined;
  readonly '--instances': boolean;
}

/** The given flags; none: everything is listed, service by service. */
export function givenFilters(filters: Filters): readonly string[] {
  return Object.keys(FILTER_FLAGS).filter((flag) => {
    const value: unknown = Reflect.get(filters, flag);
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  });
}

/** True if they may leave out some instances of a service: then there is no verdict about the whole. */
export function isSelective(filters: Filters): boolean {
  return givenFilters(filters).some((flag) => flag !== '--sort' && flag !== '--instances');
}

/**
 * Filters that the registry does not apply: the weight, and the circuits to an instance (`open`: the number that is not
 * closed, by id).
 */
export function isSelected(
  { id, weight }: Pick<Instance, 'id' | 'weight'>,
  filters: Pick<Filters, '--weight' | '--circuit'>,
  open: ReadonlyMap<InstanceId, number>,
): boolean {
  const { '--weight': wanted, '--circuit': circuit } = filters;
  return (
    (wanted === undefined || weight === wanted) && (circuit === undefined || open.has(id) === (circuit === 'open'))
  );
}

const parameters = (name: string, values: readonly string[]): readonly Parameter[] =>
  values.map((value) => [name, value]);

/** The parameters of `GET /api/v1/instances`. */
export function instancesQuery(filters: Filters, { service, withHeartbeats }: InstancesScope): readonly Parameter[] {
  const callable = filters['--callable'];
  return [
    ...parameters('service', service === null ? [] : [service]),
    ...parameters('state', filters['--state']),
    ...parameters('admin', filters['--admin']),
    ...parameters('callable', callable === undefined ? [] : [String(callable === 'yes')]),
    ...parameters('zone', filters['--zone']),
    ...parameters('version', filters['--version']),
    ...parameters('q', filters['--search'] === undefined ? [] : [filters['--search']]),
    ...parameters('heartbeats', withHeartbeats ? ['true'] : []),
    // the only order in which no instance is listed twice or missed if it changes between two pages
    ['sort', filters['--sort'] ?? 'service'],
    ['limit', String(PAGE_SIZE)],
  ];
}

export interface InstancesScope {
  /** Null: of all services. */
  readonly service: string | null;
  readonly withHeartbeats: boolean;
}

/** All matches, page by page. Rejects with PROTOCOL if the pages have no end. */
export async function fetchMatches(api: RegistryApi, query: readonly Parameter[]): Promise<ServiceAnswer> {
  const instances = new Map<InstanceId, Instance>();
  const heartbeats = new Map<InstanceId, Heartbeats>();
  for (let after: readonly Parameter[] = []; ;) {
    const page = await api.instances([...query, ...after]);
    const known = instances.size;
    // an instance that changes between two pages may arrive twice: its last version counts
    for (const instance of page.instances) instances.set(instance.id, instance);
    for (const [id, beats] of page.heartbeats) heartbeats.set(id, beats);
    if (page.next === null) return { revision: page.revision, instances: [...instances.values()], heartbeats };
    if (instances.size === known) {
      throw new RollcallError('PROTOCOL', `${api.url} answers the same page of instances again. Check the address.`);
    }
    after = [['after', page.next]];
  }
}

/** Throws REGISTRY_REFUSED for a zone without instances, with a suggestion and the existing zones. */
export async function checkZones(api: RegistryApi, zones: readonly string[]): Promise<void> {
  if (zones.length === 0) return;
  const { instances } = await fetchMatches(api, [
    ['sort', 'service'],
    ['limit', String(PAGE_SIZE)],
  ]);
  const known = [...new Set(instances.map(({ zone }) => zone))].filter((zone) => zone !== '').toSorted();
  const unknown = zones.find((zone) => !known.includes(zone));
  if (unknown === undefined) return;
  const suggestion = nearest(unknown, known) ?? known.find((zone) => zone.startsWith(unknown)) ?? null;
  const hidden = known.length > MAX_ZONES ? ` and ${known.length - MAX_ZONES} more` : '';
  const there = `There ${known.length === 1 ? 'is' : 'are'} ${known.slice(0, MAX_ZONES).join(', ')}${hidden}.`;
  const existing = known.length === 0 ? 'No instance declares a zone.' : there;
  const text = `There is no zone "${unknown}" at ${api.url}. ${suggestion === null ? '' : `Did you mean ${suggestion}? `}${existing}`;
  throw new RollcallError('REGISTRY_REFUSED', text);
}

/** The maximum number of zones in an error. */
const MAX_ZONES = 10;
