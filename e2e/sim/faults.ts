import type { Outlaws } from './outlaws.js';
import type { RegistryNode } from './registry-node.js';
import type { Tenant } from './tenant.js';
import type { Way } from './way.js';
import type { Machine } from './world.js';

/** Something that can die and be started again. */
export interface Life {
  kill(hasPower: boolean): void;
  stop(): void;
  goOn(): void;
  leave(): void;
  start(): void;
}

/** What can be done to a town. A target is what a `Fault` says. */
export interface Victims {
  readonly registry: RegistryNode;
  machines(target: string): readonly Machine[];
  tenantsOf(target: string): readonly Tenant[];
  lives(target: string): readonly Life[];
  /** Between the registry and a target: `in` leads to the target. */
  ways(target: string): { readonly in: readonly Way[]; readonly out: readonly Way[] };
  /** From the callers to a target. */
  waysOfCallers(target: string): readonly Way[];
  /** What these return ends them. */
  every(ms: number, run: () => void): () => void;
  usurp(target: string): readonly (() => void)[];
  displace(target: string): readonly (() => void)[];
  readonly outlaws: Outlaws;
}

/**
 * What goes wrong, as data: fast-check shrinks it, JSON prints and replays it. `at` and `forMs` are virtual ms from the moment at which
 * the town is up; a fault whose end lies behind the end of the run never ends in it.
 *
 * `target` is a place (`orders-1`), a service (all its places), `all` (every place of every service), or `registry`. Faults of the
 * network are between the targets and the registry; with the target `registry` between it and everybody.
 */
export interface Fault {
  readonly kind: FaultKind;
  readonly target: string;
  readonly at: number;
  readonly forMs: number;
  /** Of `lossy`: the share of packets (0.1); `slow`: the mean delay (200 ms); `wall`: the jump (an hour); `ghosts`: how many (25). */
  readonly amount?: number;
}

export type FaultKind = keyof typeof FAULTS;

/** Begins a fault; what is returned ends it. */
type Begin = (town: Victims, fault: Fault) => () => void;

export const FAULTS = {
  /** No packet in either direction. */
  cut: (town, { target }) => both(town, target, (way, by) => (way.cut += by)),
  /** No packet from the registry; no packet to it. Connections need both. */
  'cut-in': (town, { target }) => one(town, target, 'in', (way, by) => (way.cut += by)),
  'cut-out': (town, { target }) => one(town, target, 'out', (way, by) => (way.cut += by)),
  /** No new connection from the registry: no Heartbeat-1. */
  'block-in': (town, { target }) => one(town, target, 'in', (way, by) => (way.blocked += by)),
  /** No new connection to the registry: no Heartbeat-2. */
  'block-out': (town, { target }) => one(town, target, 'out', (way, by) => (way.blocked += by)),
  /** A firewall refuses connections from the registry: as if nobody listened. */
  'refuse-in': (town, { target }) => one(town, target, 'in', (way, by) => (way.refused += by)),
  lossy: (town, { target, amount = 0.1 }) => both(town, target, (way, by) => (way.lossRatio += by * amount)),
  slow: (town, { target, amount = 200 }) => both(town, target, (way, by) => (way.delayMs += by * amount)),
  /** Callers cannot reach it, the registry can. */
  'block-calls': (town, { target }) => {
    const ways = town.waysOfCallers(target);
    return applied(ways, (way, by) => (way.blocked += by));
  },
  /** SIGKILL; then a new process at the same place. */
  crash: (town, { target }) => begun(town.lives(target), (life) => life.kill(true)),
  /** The machine loses its power: nothing is closed. */
  power: (town, { target }) => begun(town.lives(target), (life) => life.kill(false)),
  /** SIGSTOP … SIGCONT. */
  stop: (town, { target }) => {
    const lives = town.lives(target);
    for (const life of lives) life.stop();
    return () => lives.forEach((life) => life.goOn());
  },
  /** SIGTERM; then a new process. */
  drain: (town, { target }) => begun(town.lives(target), (life) => life.leave()),
  /** SIGKILL, and before anybody has seen it a process of another service has the port. */
  usurp: (town, { target }) => {
    const usurpers = town.usurp(target);
    return () => usurpers.forEach((end) => end());
  },
  /** It lives on, but a stranger answers at its port: it advertised the wrong one, or its server closed. */
  displace: (town, { target }) => {
    const returns = town.displace(target);
    return () => returns.forEach((end) => end());
  },
  /** A wall clock jumps, and back. */
  wall: (town, { target, amount = 3_600_000 }) => {
    const machines = town.machines(target);
    for (const machine of machines) machine.skewMs += amount;
    return () => machines.forEach((machine) => (machine.skewMs -= amount));
  },
  /** Nothing: the place of a fault that is left out, so that the run takes as long. */
  nothing: () => () => {},
  /** Somebody sends the last Heartbeat-2 again and again. */
  replay: (town, { target }) => town.every(1_000, () => town.outlaws.replayBeats(target)),
  /** Somebody does in its name whatever its owner may do, with a secret of his own, again and again. */
  thief: (town, { target }) => town.every(1_000, () => town.outlaws.stealIds(target)),
  /** Somebody on the same machine registers its address under an id of his own, and beats for that. */
  squat: (town, { target }) => {
    const squatters = town.outlaws.squat(target);
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
  mute: (town, { target }) => {
    const tenants = town.tenantsOf(target);
    for (const { mute, place } of tenants) for (const { port } of place.endpoints.slice(-1)) mute.add(port);
    return () => tenants.forEach(({ mute }) => mute.clear());
  },
  /** Its last endpoint is closed. */
  half: (town, { target }) => {
    const reopen = town.tenantsOf(target).map((tenant) => tenant.closeLast());
    return () => reopen.forEach((open) => open());
  },
  /** Its streams break and none can be opened, as with a proxy that does not let them pass; all else works. */
  'no-line': (town, { target }) => {
    const machines = town.machines(target);
    for (const machine of machines) town.registry.denyStreams(machine);
    return () => machines.forEach((machine) => town.registry.allowStreams(machine));
  },
  /** Somebody registers ids without processes behind them: `amount` of them (25), at closed ports. */
  ghosts: (town, { amount = 25 }) => {
    town.outlaws.registerGhosts(amount);
    return () => {};
  },
  /** An operator wants it to get no calls, until he takes that back. */
  maintenance: (town, { target }) => {
    town.outlaws.amend(target, 'MAINTENANCE', null);
    return () => town.outlaws.amend(target, 'ENABLED', null);
  },
  /** The same, until a time that he names. */
  draining: (town, { target, forMs }) => {
    town.outlaws.amend(target, 'DRAINING', forMs);
    return () => {};
  },
  /** An operator removes it from the registry. */
  operator: (town, { target }) => {
    town.outlaws.removeByOperator(target);
    return () => {};
  },
} as const satisfies Readonly<Record<string, Begin>>;

type Change = (way: Way, by: 1 | -1) => void;

function both(town: Victims, target: string, change: Change): () => void {
  const ways = town.ways(target);
  return applied([...ways.in, ...ways.out], change);
}

function one(town: Victims, target: string, direction: 'in' | 'out', change: Change): () => void {
  return applied(town.ways(target)[direction], change);
}

function applied(ways: readonly Way[], change: Change): () => void {
  for (const way of ways) change(way, 1);
  return () => ways.forEach((way) => change(way, -1));
}

/** Ends lives; the other half is their beginning again. */
function begun(lives: readonly Life[], end: (life: Life) => void): () => void {
  for (const life of lives) end(life);
  return () => lives.forEach((life) => life.start());
}
