import type { Outsiders } from './outsiders.js';
import type { RegistryNode } from './registry-node.js';
import type { Tenant } from './tenant.js';
import type { Way } from './way.js';
import type { Machine } from './world.js';

/** A process that can be killed and started again. */
export interface Restartable {
  kill(hasPower: boolean): void;
  stop(): void;
  goOn(): void;
  leave(): void;
  start(): void;
}

/** The faults that can be applied to a run. `target` is that of a `Fault`. */
export interface FaultTargets {
  readonly registry: RegistryNode;
  machines(target: string): readonly Machine[];
  tenantsOf(target: string): readonly Tenant[];
  lives(target: string): readonly Restartable[];
  /** The directions between the registry and a target: `in` leads to the target. */
  ways(target: string): { readonly in: readonly Way[]; readonly out: readonly Way[] };
  /** The directions from the callers to a target. */
  waysOfCallers(target: string): readonly Way[];
  /** Calls `run` every `ms` until the returned function is called. */
  every(ms: number, run: () => void): () => void;
  usurp(target: string): readonly (() => void)[];
  displace(target: string): readonly (() => void)[];
  readonly outsiders: Outsiders;
}

/**
 * Faults as data: fast-check shrinks them, JSON prints and replays them. `at` and `forMs` are virtual ms from the
 * moment at which the town is up; a fault whose end lies behind the end of the run never ends in it.
 *
 * `target` is a place (`orders-1`), a service (all its places), `all` (every place of every service), or `registry`.
 * Faults of the network are between the targets and the registry; with the target `registry` between it and every other
 * place.
 */
export interface Fault {
  readonly kind: FaultKind;
  readonly target: string;
  readonly at: number;
  readonly forMs: number;
  /**
   * Of `lossy`: the share of packets (0.1); `slow`: the mean delay (200 ms); `wall`: the jump (an hour); `ghosts`: how
   * many (25).
   */
  readonly amount?: number;
}

export type FaultKind = keyof typeof FAULTS;

/** Begins a fault; the returned function ends it. */
type Begin = (sim: FaultTargets, fault: Fault) => () => void;

export const FAULTS = {
  /** No packet in either direction. */
  cut: (sim, { target }) => both(sim, target, (way, by) => (way.cut += by)),
  /** No packet from the registry; no packet to it. Connections need both. */
  'cut-in': (sim, { target }) => one(sim, target, 'in', (way, by) => (way.cut += by)),
  'cut-out': (sim, { target }) => one(sim, target, 'out', (way, by) => (way.cut += by)),
  /** No new connection from the registry: no Heartbeat-1. */
  'block-in': (sim, { target }) => one(sim, target, 'in', (way, by) => (way.blocked += by)),
  /** No new connection to the registry: no Heartbeat-2. */
  'block-out': (sim, { target }) => one(sim, target, 'out', (way, by) => (way.blocked += by)),
  /** A firewall refuses connections from the registry, as if no process listened. */
  'refuse-in': (sim, { target }) => one(sim, target, 'in', (way, by) => (way.refused += by)),
  lossy: (sim, { target, amount = 0.1 }) => both(sim, target, (way, by) => (way.lossRatio += by * amount)),
  slow: (sim, { target, amount = 200 }) => both(sim, target, (way, by) => (way.delayMs += by * amount)),
  /** Callers cannot reach it; the registry can. */
  'block-calls': (sim, { target }) => {
    const ways = sim.waysOfCallers(target);
    return applied(ways, (way, by) => (way.blocked += by));
  },
  /** SIGKILL; then a new process at the same place. */
  crash: (sim, { target }) => begun(sim.lives(target), (life) => life.kill(true)),
  /** The machine loses its power: its kernel closes no connection. */
  power: (sim, { target }) => begun(sim.lives(target), (life) => life.kill(false)),
  /** SIGSTOP … SIGCONT. */
  stop: (sim, { target }) => {
    const lives = sim.lives(target);
    for (const life of lives) life.stop();
    return () => lives.forEach((life) => life.goOn());
  },
  /** SIGTERM; then a new process. */
  drain: (sim, { target }) => begun(sim.lives(target), (life) => life.leave()),
  /** SIGKILL, and before the registry notices it a process of another service has the port. */
  usurp: (sim, { target }) => {
    const usurpers = sim.usurp(target);
    return () => usurpers.forEach((end) => end());
  },
  /** It lives on, but another process answers at its port: it advertised the wrong one, or its server closed. */
  displace: (sim, { target }) => {
    const returns = sim.displace(target);
    return () => returns.forEach((end) => end());
  },
  /** A wall clock jumps, and back. */
  wall: (sim, { target, amount = 3_600_000 }) => {
    const machines = sim.machines(target);
    for (const machine of machines) machine.skewMs += amount;
    return () => machines.forEach((machine) => (machine.skewMs -= amount));
  },
  /** Nothing: stands in for a fault that is left out, so that the run takes as long. */
  nothing: () => () => {},
  /** An attacker sends the last Heartbeat-2 again and again. */
  replay: (sim, { target }) => sim.every(1_000, () => sim.outsiders.replayBeats(target)),
  /** An attacker sends in its name every request that only its owner may send, with another secret, again and again. */
  thief: (sim, { target }) => sim.every(1_000, () => sim.outsiders.stealIds(target)),
  /** An attacker on the same machine registers its address under another id, and beats for that. */
  squat: (sim, { target }) => {
    const squatters = sim.outsiders.squat(target);
    return () => squatters.forEach((leave) => leave());
  },
  /** The registry's disk takes no writes. */
  'disk-full': ({ registry }) => {
    if (registry.disk !== null) registry.disk.full += 1;
    return () => {
      if (registry.disk !== null) registry.disk.full -= 1;
    };
  },
  /** Its last endpoint accepts, and never answers. */
  mute: (sim, { target }) => {
    const tenants = sim.tenantsOf(target);
    for (const { mute, place } of tenants) for (const { port } of place.endpoints.slice(-1)) mute.add(port);
    return () => tenants.forEach(({ mute }) => mute.clear());
  },
  /** Its last endpoint is closed. */
  half: (sim, { target }) => {
    const reopen = sim.tenantsOf(target).map((tenant) => tenant.closeLast());
    return () => reopen.forEach((open) => open());
  },
  /** Its streams break and none can be opened, as with a proxy that does not let them pass; everything else works. */
  'no-line': (sim, { target }) => {
    const machines = sim.machines(target);
    for (const machine of machines) sim.registry.denyStreams(machine);
    return () => machines.forEach((machine) => sim.registry.allowStreams(machine));
  },
  /** An attacker registers ids without processes behind them: `amount` of them (25), at closed ports. */
  ghosts: (sim, { amount = 25 }) => {
    sim.outsiders.registerGhosts(amount);
    return () => {};
  },
  /** An operator takes it out of service, until the operator reverts that. */
  maintenance: (sim, { target }) => {
    sim.outsiders.amend(target, 'MAINTENANCE', null);
    return () => sim.outsiders.amend(target, 'ENABLED', null);
  },
  /** The same, until a time that the operator names. */
  draining: (sim, { target, forMs }) => {
    sim.outsiders.amend(target, 'DRAINING', forMs);
    return () => {};
  },
  /** An operator removes it from the registry. */
  operator: (sim, { target }) => {
    sim.outsiders.removeByOperator(target);
    return () => {};
  },
} as const satisfies Readonly<Record<string, Begin>>;

type Change = (way: Way, by: 1 | -1) => void;

function both(sim: FaultTargets, target: string, change: Change): () => void {
  const ways = sim.ways(target);
  return applied([...ways.in, ...ways.out], change);
}

function one(sim: FaultTargets, target: string, direction: 'in' | 'out', change: Change): () => void {
  return applied(sim.ways(target)[direction], change);
}

function applied(ways: readonly Way[], change: Change): () => void {
  for (const way of ways) change(way, 1);
  return () => ways.forEach((way) => change(way, -1));
}

/** Kills processes; the returned function starts them again. */
function begun(lives: readonly Restartable[], end: (life: Restartable) => void): () => void {
  for (const life of lives) end(life);
  return () => lives.forEach((life) => life.start());
}
