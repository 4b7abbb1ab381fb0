import * as fc from 'fast-check';
import { POOL_SIZE } from './clients.js';
import type { Fault } from './network.js';
import type { CatalogEntry, Listed, Traffic, World } from './world.js';

// Random worlds, small enough to be shrunk. The load never exceeds what a single host can serve, so that every call can
// be served sooner or later and the result does not depend on which calls are served.

const LONGEST_MS = 8_000;
/** The largest share of one host’s capacity that all loads together may ask for. */
const MAX_SHARE = 0.5;

const hosts = fc.integer({ min: 1, max: 3 });
/** A bit mask of the hosts that a fault hits; 0: all of them. */
const mask = fc.integer({ min: 0, max: 7 });
const span = fc.record({ fromMs: fc.nat(LONGEST_MS), lastsMs: fc.integer({ min: 1, max: 6_000 }) });
const loadFields = fc.record({
  share: fc.double({ min: 0.01, max: 1, noNaN: true }),
  deadlineMs: fc.constantFrom(5_000, 2_000, 1_000, 300),
  workMs: fc.constantFrom(1, 10, 100),
  isIdempotent: fc.boolean(),
  isRefused: fc.nat(7).map((one) => one === 7),
  burstAtMs: fc.option(fc.nat(LONGEST_MS)),
});
const faultRecord = fc.record({
  kind: fc.constantFrom('delay', 'cut', 'pause', 'dead', 'overloaded', 'caller-pause'),
  mask,
  span,
  ms: fc.constantFrom(1, 50, 300),
  /** Time after a death or a birth until callers learn of it. */
  noticeMs: fc.constantFrom(10, 300, 3_000),
});
type ValueOf<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;
type FaultFields = ValueOf<typeof faultRecord>;
type Load = ValueOf<typeof loadFields>;

export const worlds: fc.Arbitrary<World> = fc
  .record({
    hosts,
    workers: fc.constantFrom(4, 20, 100),
    callers: fc.integer({ min: 1, max: 3 }),
    delayMs: fc.constantFrom(0.2, 5, 100),
    knownAtMs: fc.constantFrom(0, 0, 0, 500, 3_000),
    loads: fc.array(loadFields, { minLength: 1, maxLength: 3 }),
    faultFields: fc.array(faultRecord, { maxLength: 3 }),
  })
  .map(worldOf);

interface WorldFields {
  readonly hosts: number;
  readonly workers: number;
  readonly callers: number;
  readonly delayMs: number;
  readonly knownAtMs: number;
  readonly loads: readonly Load[];
  readonly faultFields: readonly FaultFields[];
}

function worldOf({ loads, faultFields, knownAtMs, ...rest }: WorldFields): World {
  const faults = faultFields.map((one) => faultOf(one, rest.hosts));
  const deaths = withoutOverlaps(faults.filter((fault) => fault.kind === 'dead'));
  return {
    ...rest,
    seconds: LONGEST_MS / 1_000,
    faults: [...faults.filter((fault) => fault.kind !== 'dead'), ...deaths],
    catalog: catalogOf({ hosts: rest.hosts, knownAtMs, deaths, noticeMs: faultFields.map((one) => one.noticeMs) }),
    loads: loads.map((one, place) => loadOf(one, { place, count: loads.length, knownAtMs, ...rest })),
  };
}

function faultOf({ kind, mask: bits, span: { fromMs, lastsMs }, ms }: FaultFields, count: number): Fault {
  const all = Array.from({ length: count }, (_, host) => host);
  const some = all.filter((host) => (bits & (1 << host)) !== 0);
  const where = { fromMs, toMs: fromMs + lastsMs, hosts: some.length === 0 ? all : some };
  if (kind === 'delay') return { kind, ms, ...where };
  if (kind === 'overloaded') return { kind, retryAfterMs: ms, ...where };
  if (kind === 'caller-pause') return { kind, fromMs, toMs: fromMs + lastsMs };
  return { kind: kind === 'cut' || kind === 'pause' ? kind : 'dead', ...where };
}

type Death = Extract<Fault, { readonly kind: 'dead' }>;

/** Drops crashes of hosts that have crashed already. */
function withoutOverlaps(deaths: readonly Death[]): readonly Death[] {
  const sorted = deaths.toSorted((one, other) => one.fromMs - other.fromMs);
  return sorted.filter((one, place) => sorted.slice(0, place).every((before) => before.toMs < one.fromMs));
}

interface Known {
  readonly hosts: number;
  readonly knownAtMs: number;
  readonly deaths: readonly Death[];
  readonly noticeMs: readonly number[];
}

/** The registry reports a change after its notice period. */
function catalogOf({ hosts: count, knownAtMs, deaths, noticeMs }: Known): readonly CatalogEntry[] {
  const noticed = deaths.map((one, place) => {
    const lagMs = noticeMs[place] ?? 0;
    return { hosts: one.hosts, goneMs: one.fromMs + lagMs, backMs: one.toMs + lagMs };
  });
  const entryAt = (atMs: number): CatalogEntry => {
    const instances = Array.from({ length: count }, (_, host) => host).flatMap((host): Listed[] => {
      const own = noticed.filter((one) => one.hosts.includes(host) && one.goneMs <= atMs);
      const isDead = own.some((one) => atMs < one.backMs);
      return isDead ? [] : [{ host, deaths: own.length, state: own.length > 0 ? 'REGISTERING' : 'HEALTHY' }];
    });
    return { atMs, kind: 'list', instances };
  };
  const later = noticed.flatMap(({ goneMs, backMs }) => [goneMs, backMs]).filter((ms) => ms > knownAtMs);
  return [knownAtMs, ...later.toSorted((one, other) => one - other)].map(entryAt);
}

interface Place {
  readonly place: number;
  readonly count: number;
  readonly workers: number;
  readonly delayMs: number;
  readonly knownAtMs: number;
}

function loadOf(one: Load, { place, count, workers, delayMs, knownAtMs }: Place): Traffic {
  const { share, deadlineMs, workMs, isIdempotent, isRefused, burstAtMs } = one;
  const max = (MAX_SHARE * share) / count;
  const load = { method: `m${place}`, deadlineMs, workMs, isIdempotent, isSteady: true, isRefused };
  if (burstAtMs !== null) {
    // all of it can be served in a half of its deadline, and calls that waited for the catalog do not coincide with
    // others
    const fromMs = Math.max(burstAtMs, knownAtMs);
    const perMs = Math.min(workers / workMs, POOL_SIZE / (workMs + 2 * delayMs));
    const atOnce = Math.max(1, Math.floor(max * deadlineMs * perMs));
    return { ...load, fromMs, toMs: fromMs, atOnce: Math.min(atOnce, MAX_CONCURRENT) };
  }
  const perSecond = Math.min((max * 1_000 * workers) / workMs, MAX_PER_SECOND);
  return { ...load, fromMs: 0, toMs: LONGEST_MS, perSecond };
}

/** Keeps a run within milliseconds. */
const MAX_PER_SECOND = 60;
const MAX_CONCURRENT = 1_500;
