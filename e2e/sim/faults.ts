import type { Town } from './town.js';

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
  /** Of `lossy`: the share of packets (0.1); of `slow`: the mean delay (200 ms); of `wall`: the jump (an hour). */
  readonly amount?: number;
}

export type FaultKind = keyof typeof FAULTS;

/** Begins a fault; what is returned ends it. */
type Begin = (town: Town, fault: Fault) => () => void;

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
  /** Somebody sends the last Heartbeat-2 again and again. */
  replay: (town, { target }) => town.every(1_000, () => town.replayBeats(target)),
  /** Somebody registers its id with a secret of his own, again and again. */
  thief: (town, { target }) => town.every(1_000, () => town.stealIds(target)),
  /** Its second endpoint accepts, and never answers. */
  mute: (town, { target }) => {
    const tenants = town.tenantsOf(target);
    for (const { mute, place } of tenants) mute.add(place.endpoints.at(-1)!.port);
    return () => tenants.forEach(({ mute }) => mute.clear());
  },
  /** An operator removes it from the registry. */
  operator: (town, { target }) => {
    town.removeByOperator(target);
    return () => {};
  },
} as const satisfies Readonly<Record<string, Begin>>;

type Ways = ReturnType<Town['ways']>;
type Change = (way: Ways['in'][number], by: 1 | -1) => void;

function both(town: Town, target: string, change: Change): () => void {
  const ways = town.ways(target);
  return applied([...ways.in, ...ways.out], change);
}

function one(town: Town, target: string, direction: 'in' | 'out', change: Change): () => void {
  return applied(town.ways(target)[direction], change);
}

function applied(ways: Ways['in'], change: Change): () => void {
  for (const way of ways) change(way, 1);
  return () => ways.forEach((way) => change(way, -1));
}

/** Ends lives; the other half is their beginning again. */
function begun(lives: ReturnType<Town['lives']>, end: (life: (typeof lives)[number]) => void): () => void {
  for (const life of lives) end(life);
  return () => lives.forEach((life) => life.start());
}
