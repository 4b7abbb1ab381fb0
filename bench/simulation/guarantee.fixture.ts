import * as fc from 'fast-check';
import { POOL_SIZE } from './clients.js';
import type { Fault } from './network.js';
import type { CatalogUpdate, Listed, CallLoad, World } from './world.js';

// Random worlds, small enough to be shrunk. The load never exceeds what a single host can serve, so that every call can
// be served sooner or later and the result does not depend on which calls are served.

const RUN_MS = 8_000;
/** The largest share of one host’s capacity that all loads together may ask for. */
const MAX_SHARE = 0.5;

const hosts = fc.integer({ min: 1, max: 3 });
/** A bit mask of the hosts that a fault hits; 0: all of them. */
const mask = fc.integer({ min: 0, max: 7 });
const span = fc.record({ fromMs: fc.nat(RUN_MS), lastsMs: fc.integer({ min: 1, max: 6_000 }) });
const loadSpec = fc.record({
  share: fc.double({ min: 0.01, max: 1, noNaN: true }),
  deadlineMs: fc.constantFrom(5_000, 2_000, 1_000, 300),
  workMs: fc.constantFrom(1, 10, 100),
  isIdempotent: fc.boolean(),
  isRefused: fc.nat(7).map((one) => one === 7),
  burstAtMs: fc.option(fc.nat(RUN_MS)),
});
const faultSpec = fc.record({
  kind: fc.constantFrom('delay', 'cut', 'pause', 'dead', 'overloaded', 'caller-pause'),
  mask,
  span,
  ms: fc.constantFrom(1, 50, 300),
  /** Time after a death or a birth until callers learn of it. */
  noticeMs: fc.constantFrom(10, 300, 3_000),
});
type ValueOf<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;
type FaultSpec = ValueOf<typeof faultSpec>;
type LoadSpec = ValueOf<typeof loadSpec>;

export const worlds: fc.Arbitrary<World> = fc
  .record({
    hosts,
    workers: fc.constantFrom(4, 20, 100),
    callers: fc.integer({ min: 1, max: 3 }),
    delayMs: fc.constantFrom(0.2, 5, 100),
    knownAtMs: fc.constantFrom(0, 0, 0, 500, 3_000),
    loads: fc.array(loadSpec, { minLength: 1, maxLength: 3 }),
    faultSpecs: fc.array(faultSpec, { maxLength: 3 }),
  })
  .map(createWorld);

interface WorldSpec {
  readonly hosts: number;
  readonly workers: number;
  readonly callers: number;
  readonly delayMs: number;
  readonly knownAtMs: number;
  readonly loads: readonly LoadSpec[];
  readonly faultSpecs: readonly FaultSpec[];
}

function createWorld({ loads, faultSpecs, knownAtMs, ...rest }: WorldSpec): World {
  const faults = faultSpecs.map((one) => createFault(one, rest.hosts));
  const deaths = dropOverlaps(faults.filter((fault) => fault.kind === 'dead'));
  return {
    ...rest,
    seconds: RUN_MS / 1_000,
    faults: [...faults.filter((fault) => fault.kind !== 'dead'), ...deaths],
    catalog: createCatalog({ hosts: rest.hosts, knownAtMs, deaths, noticeMs: faultSpecs.map((one) => one.noticeMs) }),
    loads: loads.map((one, place) => createLoad(one, { place, count: loads.length, knownAtMs, ...rest })),
  };
}

function createFault({ kind, mask: bits, span: { fromMs, lastsMs }, ms }: FaultSpec, count: number): Fault {
  const all = Array.from({ length: count }, (_, host) => host);
  const masked = all.filter((host) => (bits & (1 << host)) !== 0);
  const hostSpan = { fromMs, toMs: fromMs + lastsMs, hosts: masked.length === 0 ? all : masked };
  if (kind === 'delay') return { kind, ms, ...hostSpan };
  if (kind === 'overloaded') return { kind, retryAfterMs: ms, ...hostSpan };
  if (kind === 'caller-pause') return { kind, fromMs, toMs: fromMs + lastsMs };
  return { kind: kind === 'cut' || kind === 'pause' ? kind : 'dead', ...hostSpan };
}

type Death = Extract<Fault, { readonly kind: 'dead' }>;

/** Drops crashes of hosts that have crashed already. */
function dropOverlaps(deaths: readonly Death[]): readonly Death[] {
  const sorted = deaths.toSorted((one, other) => one.fromMs - other.fromMs);
  return sorted.filter((one, place) => sorted.slice(0, place).every((before) => before.toMs < one.fromMs));
}

interface CatalogSpec {
  readonly hosts: number;
  readonly knownAtMs: number;
  readonly deaths: readonly Death[];
  readonly noticeMs: readonly number[];
}

/** The registry reports a change after its notice period. */
function createCatalog({ hosts: count, knownAtMs, deaths, noticeMs }: CatalogSpec): readonly CatalogUpdate[] {
  const deathsAsReported = deaths.map((one, place) => {
    const lagMs = noticeMs[place] ?? 0;
    return { hosts: one.hosts, goneMs: one.fromMs + lagMs, backMs: one.toMs + lagMs };
  });
  const updateAt = (atMs: number): CatalogUpdate => {
    const instances = Array.from({ length: count }, (_, host) => host).flatMap((host): Listed[] => {
      const own = deathsAsReported.filter((one) => one.hosts.includes(host) && one.goneMs <= atMs);
      const isDead = own.some((one) => atMs < one.backMs);
      return isDead ? [] : [{ host, deaths: own.length, state: own.length > 0 ? 'REGISTERING' : 'HEALTHY' }];
    });
    return { atMs, kind: 'list', instances };
  };
  const later = deathsAsReported.flatMap(({ goneMs, backMs }) => [goneMs, backMs]).filter((ms) => ms > knownAtMs);
  return [knownAtMs, ...later.toSorted((one, other) => one - other)].map(updateAt);
}

interface Place {
  readonly place: number;
  readonly count: number;
  readonly workers: number;
  readonly delayMs: number;
  readonly knownAtMs: number;
}

function createLoad(one: LoadSpec, { place, count, workers, delayMs, knownAtMs }: Place): CallLoad {
  const { share, deadlineMs, workMs, isIdempotent, isRefused, burstAtMs } = one;
  const maxShare = (MAX_SHARE * share) / count;
  const load = { method: `m${place}`, deadlineMs, workMs, isIdempotent, isSteady: true, isRefused };
  if (burstAtMs !== null) {
    // all of it can be served in a half of its deadline, and calls that waited for the catalog do not coincide with
    // others
    const fromMs = Math.max(burstAtMs, knownAtMs);
    const perMs = Math.min(workers / workMs, POOL_SIZE / (workMs + 2 * delayMs));
    const atOnce = Math.max(1, Math.floor(maxShare * deadlineMs * perMs));
    return { ...load, fromMs, toMs: fromMs, atOnce: Math.min(atOnce, MAX_AT_ONCE) };
  }
  const perSecond = Math.min((maxShare * 1_000 * workers) / workMs, MAX_PER_SECOND);
  return { ...load, fromMs: 0, toMs: RUN_MS, perSecond };
}

/** Keeps a run within milliseconds. */
const MAX_PER_SECOND = 60;
const MAX_AT_ONCE = 1_500;
