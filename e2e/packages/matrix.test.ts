import { join } from 'node:path';
import { Rollcall } from '@rollcall/client';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { endAll, launch } from '../process/launch.js';
import type { Child } from '../process/launch.js';
import { isFailed, load } from '../process/load.js';
import { until } from '../process/until.js';
import { KINDS, PROTOCOLS } from './kinds/shop.js';
import type { Kind } from './kinds/shop.js';

/** What an application says when it listens. */
interface Started {
  readonly kind: Kind;
  readonly instance: string;
  /** As its servers say themselves; gRPC servers do not. */
  readonly ports: Readonly<Record<string, number>>;
}

const { nest11, nest12, nodes } = inject('workshop');
const CELLS = [
  { nest: 11, folder: nest11 },
  { nest: 12, folder: nest12 },
].flatMap((one) => nodes.map(({ version, path }) => ({ ...one, node: Number(version), path })));
const PATHS = KINDS.flatMap((kind) => PROTOCOLS[kind].map((protocol) => `/${kind}/${protocol}/7`));

if (nodes.length === 1) console.warn('skipped: other versions of Node.js, since npm has them for linux-x64 only');

/** A registry, two of each kind, and a gateway that calls them, all by one Node.js beside one Nest. */
class Cell {
  readonly #path: string;
  readonly #folder: string;
  url = '';
  gateway = '';
  /** What the gateway says of calls that failed. */
  complaints: readonly string[] = [];
  /** One of each kind in a process of its own: these end under load. */
  readonly leaving = new Map<Kind, Child>();
  /** All of these: first those that stay, all in one process. */
  readonly started: Started[] = [];

  constructor(path: string, folder: string) {
    this.#path = path;
    this.#folder = folder;
  }

  async open(): Promise<void> {
    const registry = this.#start('node_modules/rollcall/dist/main.js', 'up', '--json', '--port', '0');
    this.url = (JSON.parse(await registry.line(/^{/)) as { url: string }).url;
    const lasting = this.#start('kinds/dist/app.js', ...KINDS);
    const gateway = this.#start('kinds/dist/gateway.js');
    this.complaints = gateway.err;
    for (const kind of KINDS) this.leaving.set(kind, this.#start('kinds/dist/app.js', kind));
    this.gateway = (JSON.parse(await gateway.line(/^{/)) as { url: string }).url;
    for (const kind of KINDS) {
      for (const child of [lasting, this.leaving.get(kind)!]) {
        this.started.push(JSON.parse(await child.line(new RegExp(`^{"kind":"${kind}"`))) as Started);
      }
    }
  }

  #start(program: string, ...args: readonly string[]): Child {
    const env = this.url === '' ? {} : { ROLLCALL_URL: this.url };
    return launch(this.#path, [join(this.#folder, program), ...args], { cwd: this.#folder, env });
  }
}

describe.each(CELLS)('Nest $nest on Node $node', ({ folder, path }) => {
  let witness: Rollcall | null = null;

  afterEach(async () => {
    await witness?.close();
    await endAll();
  });

  it('every kind is registered rightly, called, and drained under load: no call fails', async () => {
    const cell = new Cell(path, folder);
    await cell.open();
    witness = new Rollcall({ registry: cell.url });
    witness.start();
    const views = KINDS.map((kind) => witness!.service(kind));
    const healthy = () => views.flatMap((view) => view.instances).filter(({ state }) => state === 'HEALTHY');
    await until('all of them are HEALTHY', () => healthy().length === cell.started.length);
    const instances = healthy();
    for (const { kind, instance, ports } of cell.started) {
      const { service, endpoints = [] } = instances.find(({ id }) => id === instance) ?? {};
      expect(service).toBe(kind);
      expect(endpoints.map(({ protocol }) => protocol).toSorted()).toEqual(PROTOCOLS[kind].toSorted());
      for (const { protocol, host, port, tls } of endpoints) {
        expect({ host, tls }).toEqual({ host: '127.0.0.1', tls: false });
        expect(port).toBe(ports[protocol] ?? (protocol === 'grpc' ? port : undefined));
      }
    }

    const loading = load(cell.gateway, PATHS, 70);
    const { replies } = loading;
    const served = (instance: string): number => replies.filter((reply) => reply.instance === instance).length;
    await until('each of them has answered', () => cell.started.every(({ instance }) => served(instance) >= 3));
    const leaving = [...cell.leaving.values()];
    for (const child of leaving) child.kill('SIGTERM');
    await Promise.all(leaving.map(({ exited }) => exited));
    const before = replies.length;
    await until('it went on', () => replies.length >= before + 50);
    await loading.stop();
    expect(replies.filter(isFailed), cell.complaints.join('\n')).toEqual([]);
    for (const child of leaving) expect(child.out.join('\n')).toMatch(/Drained in \d+ ms/);
  });
});
