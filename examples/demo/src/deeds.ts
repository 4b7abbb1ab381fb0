import { shortNames } from 'rollcall';
import { BEHIND_THE_DOOR, isExpendable, REGISTRY } from './cast.js';
import type { FrontDoor } from './front-door.js';
import type { Role, Run, Supervisor } from './supervisor.js';

/** What somebody can do to the demo. */
export type Deed = 'kill' | 'freeze' | 'cut' | 'drain' | 'add' | 'restart';

export interface DeedsParts {
  readonly supervisor: Pick<Supervisor, 'run' | 'signal'>;
  /** Before one instance; null: this machine cannot have one. */
  readonly door: FrontDoor | null;
  readonly restartAfterMs: number;
  /** Those that register. */
  roles(): readonly Role[];
  isHealthy(role: Role): boolean;
  /** Starts one more; null: there are enough. */
  add(): Run | null;
}

/** What is done to processes and to the way between them, each told in a sentence. */
export class Deeds {
  readonly #parts: DeedsParts;
  /** Their process ids, by the names of those that are frozen. */
  readonly #frozen = new Map<string, number>();
  readonly #deeds: Readonly<Record<Deed, () => string>> = {
    kill: () => this.#kill(),
    freeze: () => this.#freeze(),
    cut: () => this.#cut(),
    drain: () => this.#drain(),
    add: () => this.#add(),
    restart: () => this.#restart(),
  };

  constructor(parts: DeedsParts) {
    this.#parts = parts;
  }

  /** Does it, and says what was done, or why it was not. */
  do(deed: Deed): string {
    return this.#deeds[deed]();
  }

  /** A process is gone, and with it whatever was done to it. */
  forget(name: string): void {
    this.#frozen.delete(name);
  }

  /**
   * Sends a signal to one process at random, but never to the last HEALTHY one of its service: then calls would fail, as they should.
   * Nor to the one behind the door, which has a part of its own. Null: there is none.
   */
  strike(signal: NodeJS.Signals): Run | null {
    const parts = this.#parts;
    const healthy = parts
      .roles()
      .filter((role) => isExpendable(role) && !this.#frozen.has(role.name) && parts.isHealthy(role));
    const victims = healthy.filter(
      ({ name, service }) => name !== BEHIND_THE_DOOR && healthy.filter((one) => one.service === service).length > 1,
    );
    const victim = victims[Math.floor(Math.random() * victims.length)];
    const run = victim === undefined ? undefined : parts.supervisor.run(victim.name);
    if (run === undefined) return null;
    parts.supervisor.signal(run.role.name, signal);
    return run;
  }

  #kill(): string {
    const run = this.strike('SIGKILL');
    return run === null ? NOBODY : `killed ${named(run)}; a new process comes in ${this.#restartText()}`;
  }

  #drain(): string {
    const run = this.strike('SIGTERM');
    if (run === null) return NOBODY;
    return `asked ${named(run)} to end: it says goodbye and finishes its calls; a new process comes ${this.#restartText()} later`;
  }

  #freeze(): string {
    const [frozen] = this.#frozen;
    if (frozen !== undefined) {
      const [name, pid] = frozen;
      this.#parts.supervisor.signal(name, 'SIGCONT');
      this.#frozen.delete(name);
      return `thawed ${name} (pid ${pid}): it goes on where it stood`;
    }
    const run = this.strike('SIGSTOP');
    if (run === null) return NOBODY;
    this.#frozen.set(run.role.name, run.pid);
    return `froze ${named(run)}: its connections open, and nothing is answered; f thaws it`;
  }

  #cut(): string {
    const { door } = this.#parts;
    if (door === null) return 'nothing was cut: this machine has no second address of its own, 127.0.0.2 or ::1';
    if (door.isShut) {
      door.open();
      return `healed the way to ${BEHIND_THE_DOOR}: port ${door.port} takes connections again`;
    }
    door.shut();
    const run = this.#parts.supervisor.run(BEHIND_THE_DOOR);
    return `cut the way to ${run === undefined ? BEHIND_THE_DOOR : named(run)}: port ${door.port} refuses new connections, while it reaches everybody; p heals it`;
  }

  #add(): string {
    const run = this.#parts.add();
    return run === null ? 'no new instance: there are enough for one machine' : `started ${named(run)}`;
  }

  #restart(): string {
    const run = this.#parts.supervisor.run(REGISTRY);
    if (run === undefined) return 'the registry is already gone, and comes back by itself';
    this.#parts.supervisor.signal(REGISTRY, 'SIGKILL');
    return `killed the ${named(run)}: the rows are its last word, and calls go on; a new one comes in ${this.#restartText()}`;
  }

  #restartText(): string {
    return `${this.#parts.restartAfterMs / 1_000} s`;
  }
}

const NOBODY = 'nobody: calls need the last HEALTHY instance of a service';

/** As the processes are called, and as the table calls its instance. */
function named({ role, pid, instance }: Run): string {
  const short = instance === null ? undefined : shortNames([{ id: instance, service: role.service }]).get(instance);
  return `${role.name} (${short === undefined ? '' : `${short}, `}pid ${pid})`;
}
