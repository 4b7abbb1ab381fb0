import type { Edge, EdgeTarget, State } from '@rollcall/core';

// The instances of the fleet of `fleet.ts`, and the conduct of each.

export interface DashboardFleetOptions {
  /** Whether instances fall silent and recover, and instances are replaced. Default true. */
  readonly changes?: boolean;
}

/**
 * `well`: HEALTHY · `unreachable`: Heartbeat-1 fails, UNHEALTHY · `mute`: sends no Heartbeat-2, UNHEALTHY · `unproved`:
 * never answers, CRITICAL (UNHEALTHY where no other instance of its service can be called) · `leaving`: DEREGISTERING
 * for an hour · `flapping`: falls silent and recovers · `replaced`: leaves every 8 intervals, and another one registers
 * in its place.
 */
export type Behavior = 'well' | 'unreachable' | 'mute' | 'unproved' | 'leaving' | 'flapping' | 'replaced';

export interface FleetMember {
  /** Changes when a `replaced` instance is replaced. */
  id: string;
  readonly namespace: string;
  readonly service: string;
  readonly version: string;
  readonly zone: string;
  readonly behavior: Behavior;
  readonly admin: 'ENABLED' | 'DRAINING' | 'MAINTENANCE';
  readonly weight: number;
}

/** A simulated instance. */
export interface Member extends FleetMember {
  readonly index: number;
  readonly at: number;
  nonce: string | null;
  seq: number;
  /** Its number among the successive instances of this place. */
  generation: number;
  wasHealthy: boolean;
  state: State;
}

const SERVICES = 200;
const PER_SERVICE = 5;
const WORDS = (
  'orders payments catalog users search inventory fraud mailer gateway pricing ' +
  'reviews shipping billing sessions reports media loyalty vouchers returns ledger'
).split(' ');
const KINDS = ['', '-api', '-worker', '-cache', '-events', '-admin', '-export', '-index', '-edge', '-batch'];
const ZONES = ['eu-west-1a', 'eu-west-1b', 'eu-west-1c', 'us-east-2a'];
const longest = (start: string, end: string): string => `${start.padEnd(63 - end.length, 'x')}${end}`;
const LONG_NAMESPACE = longest('tenant-of-the-european-retail-group-with-a-name-of-', '-63');
const LONG_ZONE = longest('rack-17-of-the-second-hall-in-the-data-centre-of-frankfurt-', '-a');
/** 60 characters. */
const LONG_VERSION = '2026.12.2-rc.14+build.20261202143011.sha-0123456789abcdef012';
const UNICODE_VERSION = '4.0.0-zażółć-gęślą-jaźń-бета-版本-🚀';
const WINDOW_MS = 5_000;

const lastOf = (number: number): string => String(number).padStart(3, '0');

function nameOf(at: number): string {
  if (at % 10 === 0) return longest('warehouse-fulfilment-reconciliation-and-settlement-of-retu-', `-${lastOf(at)}`);
  return `${WORDS[at % 20]}${KINDS[Math.floor(at / 20)]}`;
}

function namespaceOf(at: number): string {
  const share = at / SERVICES;
  if (share < 0.55) return 'default';
  if (share < 0.8) return 'payments';
  return share < 0.95 ? 'staging' : LONG_NAMESPACE;
}

function versionOf(at: number, index: number): string {
  if (at % 7 === 0) return LONG_VERSION;
  if (at % 9 === 0) return UNICODE_VERSION;
  return at % 11 === 0 ? '' : `1.${at % 12}.${index < 3 ? 4 : 5}`;
}

function behaviorOf(at: number, index: number): Behavior {
  if (at === 77) return 'unproved';
  if (at % 20 === 3 && index === 0) return 'unreachable';
  if (at % 40 === 7 && index === 1) return 'mute';
  if (at % 25 === 10 && index === 0) return 'unproved';
  if (at % 50 === 13 && index === 2) return 'flapping';
  if (at % 60 === 17 && index === 4) return 'leaving';
  return at % 50 === 29 && index === 3 ? 'replaced' : 'well';
}

function adminOf(at: number, index: number): FleetMember['admin'] {
  if (at === 50 || (at % 30 === 9 && index === 1)) return 'MAINTENANCE';
  return at % 30 === 4 && index === 3 ? 'DRAINING' : 'ENABLED';
}

export const idOf = (service: string, index: number, generation: number): string =>
  `${service}-0192f0c1-7a3b-7c4d-8${generation.toString(16).padStart(3, '0')}-${String(index).padStart(12, '0')}`;

export function planOf({ changes = true }: DashboardFleetOptions): Member[] {
  return Array.from({ length: SERVICES * PER_SERVICE }, (_, index) => {
    const at = Math.floor(index / PER_SERVICE);
    const indexInService = index % PER_SERVICE;
    const service = nameOf(at);
    const behavior = behaviorOf(at, indexInService);
    const isChange = behavior === 'flapping' || behavior === 'replaced';
    return {
      id: idOf(service, index, 0),
      index,
      at,
      service,
      namespace: namespaceOf(at),
      version: versionOf(at, indexInService),
      zone: at % 17 === 5 ? LONG_ZONE : (ZONES[indexInService % 4] ?? ''),
      behavior: isChange && !changes ? 'well' : behavior,
      admin: adminOf(at, indexInService),
      weight: at % 15 === 6 && indexInService === 2 ? 0 : 100,
      nonce: null,
      seq: 0,
      generation: 0,
      wasHealthy: false,
      state: 'REGISTERING',
    };
  });
}

/** The calls from one caller to a service in one window. `variant` determines the results, the same in each window. */
export function edgeOf(callees: readonly Member[], variant: number, window: number): Edge {
  const isIdle = variant % 13 === 0;
  const isFailing = variant % 9 === 0;
  const calls = isIdle ? 0 : 20 + ((variant * 37 + window) % 400);
  const share = isFailing ? 0.05 : variant % 11 === 0 ? 0.005 : 0;
  const p99Ms = 5 + (variant % 90);
  const targets = callees.map(({ id }, which): EdgeTarget => ({
    instance: id,
    calls: Math.floor(calls / callees.length),
    failures: which === 0 ? Math.ceil(calls * share) : 0,
    p99Ms: isIdle ? null : p99Ms + which,
    circuit: isFailing && which === 0 ? 'open' : variant % 11 === 0 && which === 1 ? 'half-open' : 'closed',
  }));
  return {
    service: callees[0]?.service ?? '',
    windowMs: WINDOW_MS,
    window,
    calls,
    failures: Math.floor((calls * share) / 4),
    retries: Math.ceil(calls * share),
    p50Ms: isIdle ? null : p99Ms / 3,
    p99Ms: isIdle ? null : p99Ms,
    inFlight: isIdle ? 0 : variant % 5,
    targets,
  };
}
