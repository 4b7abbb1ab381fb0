import { shortNames } from 'rollcall';
import { PARTITIONABLE, isExpendable, REGISTRY } from './roles.js';
import type { PartitionProxy } from './partition-proxy.js';
import type { Role, Run, Supervisor } from './supervisor.js';

/** An action on the demo. */
export type Action = 'kill' | 'freeze' | 'cut' | 'drain' | 'add' | 'restart';

export interface ActionsParts {
  readonly supervisor: Pick<Supervisor, 'run' | 'signal'>;
  /** The proxy in front of one instance; null: this machine cannot have one. */
  readonly proxy: PartitionProxy | null;
  readonly restartAfterMs: number;
  /** The roles that register. */
  roles(): readonly Role[];
  isHealthy(role: Role): boolean;
  /** Starts one more instance; null: there are enough. */
  add(): Run | null;
}

/** Actions on the processes and on the network between them, each described in a sentence. */
export class Actions {
  readonly #parts: ActionsParts;
  /** The process ids of frozen processes, by name. */
  readonly #frozen = new Map<string, number>();
  readonly #actions: Readonly<Record<Action, () => string>> = {
    kill: () => this.#kill(),
    freeze: () => this.#freeze(),
    cut: () => this.#cut(),
    drain: () => this.#drain(),
    add: () => this.#add(),
    restart: () => this.#restart(),
  };

  constructor(parts: ActionsParts) {
    this.#parts = parts;
  }

  /** Runs the action; returns what was done, or why it was not. */
  do(action: Action): string {
    return this.#actions[action]();
  }

  /** A process is gone, and the action on it ends. */
  forget(name: string): void {
    this.#frozen.delete(name);
  }

  /**
   * Sends a signal to one process at random, but never to the last HEALTHY one of its service: then calls would fail,
   * as they should. Nor to the one behind the proxy, which has its own action. Null: there is none.
   */
  signalRandom(signal: NodeJS.Signals): Run | null {
    const parts = this.#parts;
    const healthy = parts
      .roles()
      .filter((role) => isExpendable(role) && !this.#frozen.has(role.name) && parts.isHealthy(role));
    const victims = healthy.filter(
      ({ name, service }) => name !== PARTITIONABLE && healthy.filter((one) => one.service === service).length > 1,
    );
    const victim = victims[Math.floor(Math.random() * victims.length)];
    const run = victim === undefined ? undefined : parts.supervisor.run(victim.name);
    if (run === undefined) return null;
    parts.supervisor.signal(run.role.name, signal);
    return run;
  }

  #kill(): string {
    const run = this.signalRandom('SIGKILL');
    return run === null ? NONE : `killed ${named(run)}; a new process starts in ${this.#restartText()}`;
  }

  #drain(): string {
    const run = this.signalRandom('SIGTERM');
    if (run === null) return NONE;
    return `asked ${named(run)} to end: it deregisters and finishes its calls; a new process starts ${this.#restartText()} later`;
  }

  #freeze(): string {
    const [frozen] = this.#frozen;
    if (frozen !== undefined) {
      const [name, pid] = frozen;
      this.#parts.supervisor.signal(name, 'SIGCONT');
      this.#frozen.delete(name);
      return `thawed ${name} (pid ${pid}): it continues`;
    }
    const run = this.signalRandom('SIGSTOP');
    if (run === null) return NONE;
    this.#frozen.set(run.role.name, run.pid);
    return `froze ${named(run)}: its connections open, and nothing is answered; f thaws it`;
  }

  #cut(): string {
    const { proxy } = this.#parts;
    if (proxy === null) return 'nothing was cut: this machine has no second address of its own, 127.0.0.2 or ::1';
    if (proxy.isShut) {
      proxy.open();
      return `healed the way to ${PARTITIONABLE}: port ${proxy.port} accepts connections again`;
    }
    proxy.shut();
    const run = this.#parts.supervisor.run(PARTITIONABLE);
    return `cut the way to ${run === undefined ? PARTITIONABLE : named(run)}: port ${proxy.port} refuses new connections, while it reaches all others; p heals it`;
  }

  #add(): string {
    const run = this.#parts.add();
    return run === null ? 'no new instance: there are enough for one machine' : `started ${named(run)}`;
  }

  #restart(): string {
    const run = this.#parts.supervisor.run(REGISTRY);
    if (run === undefined) return 'the registry is already gone, and restarts by itself';
    this.#parts.supervisor.signal(REGISTRY, 'SIGKILL');
    return `killed the ${named(run)}: the rows are its last state, and calls continue; a new one starts in ${this.#restartText()}`;
  }

  #restartText(): string {
    return `${this.#parts.restartAfterMs / 1_000} s`;
  }
}

const NONE = 'none: calls need the last HEALTHY instance of a service';

/** The names of the process, and of its instance in the table. */
function named({ role, pid, instance }: Run): string {
  const short = instance === null ? undefined : shortNames([{ id: instance, service: role.service }]).get(instance);
  return `${role.name} (${short === undefined ? '' : `${short}, `}pid ${pid})`;
}
