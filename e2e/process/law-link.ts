import { fileURLToPath } from 'node:url';
import { launch } from './launch.js';
import type { Child } from './launch.js';
import type { Place } from './law-fixture.js';
import { waitFor } from './wait-for.js';

const PROGRAM = fileURLToPath(new URL('programs/law-link.pl', import.meta.url));
/** A network namespace exists as long as a process is in it. */
const HOLD_SCRIPT = 'ip link set lo up && echo up && exec cat';

/**
 * Two network namespaces, separate from that of this machine, and the link between them. They end with their processes.
 */
export class Link {
  readonly near: Place;
  readonly far: Place;
  readonly #link: Child;
  readonly #holder: Child;
  #rules = 0;

  constructor(link: Child, holder: Child) {
    this.#link = link;
    this.#holder = holder;
    this.near = { enter: enterNamespaceOf(link), host: '10.77.0.1' };
    this.far = { enter: enterNamespaceOf(holder), host: '10.77.0.2' };
  }

  /** Delays TCP packets from and to these ports by `ms` each way; '*': all others. */
  delay(ports: readonly number[] | '*', ms: number): Promise<void> {
    return this.#rule(ports, String(ms));
  }

  /** Drops them. */
  drop(ports: readonly number[] | '*'): Promise<void> {
    return this.#rule(ports, 'drop');
  }

  async close(): Promise<void> {
    const all = [this.#link, this.#holder];
    for (const child of all) child.kill('SIGKILL');
    await Promise.all(all.map(({ exited }) => exited));
  }

  async #rule(ports: readonly number[] | '*', action: string): Promise<void> {
    const expectedReplies = (this.#rules += 1);
    this.#link.type(`${ports === '*' ? ports : ports.join()} ${action}\n`);
    await waitFor(
      'the rule is applied',
      () => this.#link.out.filter((line) => line === 'done').length >= expectedReplies,
    );
  }
}

const enterNamespaceOf = ({ pid }: Child): readonly string[] => ['nsenter', `--net=/proc/${pid}/ns/net`, '--'];

/** Null where privileges or a tool are missing: root, util-linux, iproute2, Perl and /dev/net/tun. */
export async function openLink(): Promise<Link | null> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    console.warn('No slow link: it needs root on Linux.');
    return null;
  }
  const holder = launch('unshare', ['--net', 'sh', '-c', HOLD_SCRIPT], { hasInput: true });
  try {
    await holder.line(/^up$/);
    const link = launch('unshare', ['--net', 'perl', PROGRAM, String(holder.pid)], { hasInput: true });
    await link.line(/^ready$/);
    return new Link(link, holder);
  } catch (error) {
    holder.kill('SIGKILL');
    console.warn(`No slow link: ${String(error).split('\n').slice(0, 3).join(' ')}`);
    return null;
  }
}
