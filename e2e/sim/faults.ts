import type { Outsiders } from './outsiders.js';
import type { RegistryNode } from './registry-node.js';
import type { ClientProcess } from './client-process.js';
import type { PathFaults } from './path-faults.js';
import type { Machine } from './world.js';

/** A process that can be killed and started again. */
export interface Restartable {
  kill(hasPower: boolean): void;
  stop(): void;
  resume(): void;
  leave(): void;
  start(): void;
}

/** The faults that can be applied to a run. `target` is that of a `Fault`. */
export interface FaultTargets {
  readonly registry: RegistryNode;
  machines(target: string): readonly Machine[];
  clientsOf(target: string): readonly ClientProcess[];
  restartables(target: string): readonly Restartable[];
  /** The directions between the registry and a target: `in` leads to the target. */
  paths(target: string): { readonly in: readonly PathFaults[]; readonly out: readonly PathFaults[] };
  /** The directions from the callers to a target. */
  callerPaths(target: string): readonly PathFaults[];
  /** Calls `run` every `ms` until the returned function is called. */
  every(ms: number, run: () => void): () => void;
  startUsurpers(target: string): readonly (() => void)[];
  displaceProcesses(target: string): readonly (() => void)[];
  readonly outsiders: Outsiders;
}

/**
 * Faults as data: fast-check shrinks them, JSON prints and replays them. `at` and `forMs` are virtual ms from the
 * moment at which all processes have started; a fault whose end lies behind the end of the run never ends in it.
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
type BeginFault = (sim: FaultTargets, fault: Fault) => () => void;

export const FAULTS = {
  /** No packet in either direction. */
  cut: (sim, { target }) => changeBothDirections(sim, target, (path, by) => (path.cut += by)),
  /** No packet from the registry; no packet to it. Connections need both. */
  'cut-in': (sim, { target }) => changeDirection(sim, target, 'in', (path, by) => (path.cut += by)),
  'cut-out': (sim, { target }) => changeDirection(sim, target, 'out', (path, by) => (path.cut += by)),
  /** No new connection from the registry: no Heartbeat-1. */
  'block-in': (sim, { target }) => changeDirection(sim, target, 'in', (path, by) => (path.blocked += by)),
  /** No new connection to the registry: no Heartbeat-2. */
  'block-out': (sim, { target }) => changeDirection(sim, target, 'out', (path, by) => (path.blocked += by)),
  /** A firewall refuses connections from the registry, as if no process listened. */
  'refuse-in': (sim, { target }) => changeDirection(sim, target, 'in', (path, by) => (path.refused += by)),
  lossy: (sim, { target, amount = 0.1 }) =>
    changeBothDirections(sim, target, (path, by) => (path.lossRatio += by * amount)),
  slow: (sim, { target, amount = 200 }) =>
    changeBothDirections(sim, target, (path, by) => (path.delayMs += by * amount)),
  /** Callers cannot reach it; the registry can. */
  'block-calls': (sim, { target }) => {
    const paths = sim.callerPaths(target);
    return applyChange(paths, (path, by) => (path.blocked += by));
  },
  /** SIGKILL; then a new process at the same place. */
  crash: (sim, { target }) => endAndRestart(sim.restartables(target), (process) => process.kill(true)),
  /** The machine loses its power: its kernel closes no connection. */
  power: (sim, { target }) => endAndRestart(sim.restartables(target), (process) => process.kill(false)),
  /** SIGSTOP … SIGCONT. */
  stop: (sim, { target }) => {
    const restartables = sim.restartables(target);
    for (const process of restartables) process.stop();
    return () => restartables.forEach((process) => process.resume());
  },
  /** SIGTERM; then a new process. */
  drain: (sim, { target }) => endAndRestart(sim.restartables(target), (process) => process.leave()),
  /** SIGKILL, and before the registry notices it a process of another service has the port. */
  usurp: (sim, { target }) => {
    const usurpers = sim.startUsurpers(target);
    return () => usurpers.forEach((end) => end());
  },
  /** It lives on, but another process answers at its port: it advertised the wrong one, or its server closed. */
  displace: (sim, { target }) => {
    const returns = sim.displaceProcesses(target);
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
    const squatters = sim.outsiders.occupyAddresses(target);
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
    const clients = sim.clientsOf(target);
    for (const { mute, place } of clients) for (const { port } of place.endpoints.slice(-1)) mute.add(port);
    return () => clients.forEach(({ mute }) => mute.clear());
  },
  /** Its last endpoint is closed. */
  half: (sim, { target }) => {
    const reopen = sim.clientsOf(target).map((client) => client.closeLastEndpoint());
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
    sim.outsiders.setAdminState(target, 'MAINTENANCE', null);
    return () => sim.outsiders.setAdminState(target, 'ENABLED', null);
  },
  /** The same, until a time that the operator names. */
  draining: (sim, { target, forMs }) => {
    sim.outsiders.setAdminState(target, 'DRAINING', forMs);
    return () => {};
  },
  /** An operator removes it from the registry. */
  operator: (sim, { target }) => {
    sim.outsiders.removeByOperator(target);
    return () => {};
  },
} as const satisfies Readonly<Record<string, BeginFault>>;

type PathChange = (path: PathFaults, by: 1 | -1) => void;

function changeBothDirections(sim: FaultTargets, target: string, change: PathChange): () => void {
  const paths = sim.paths(target);
  return applyChange([...paths.in, ...paths.out], change);
}

function changeDirection(sim: FaultTargets, target: string, direction: 'in' | 'out', change: PathChange): () => void {
  return applyChange(sim.paths(target)[direction], change);
}

function applyChange(paths: readonly PathFaults[], change: PathChange): () => void {
  for (const path of paths) change(path, 1);
  return () => paths.forEach((path) => change(path, -1));
}

/** Kills processes; the returned function starts them again. */
function endAndRestart(restartables: readonly Restartable[], end: (process: Restartable) => void): () => void {
  for (const process of restartables) end(process);
  return () => restartables.forEach((process) => process.start());
}
