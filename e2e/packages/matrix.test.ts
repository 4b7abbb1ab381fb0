import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Rollcall } from '@rollcall/client';
import type { Instance } from '@rollcall/core';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { isShort } from '../variants.js';
import { endAll, launch } from '../process/launch.js';
import type { Child } from '../process/launch.js';
import { isFailed, load } from '../process/load.js';
import { waitFor } from '../process/wait-for.js';
import { KINDS, PROTOCOLS } from './kinds/shop.js';
import type { Kind } from './kinds/shop.js';

/** The report of an application when it listens. */
interface Started {
  readonly kind: Kind;
  readonly instance: string;
  /** As reported by its servers; gRPC servers report none. */
  readonly ports: Readonly<Record<string, number>>;
}

const { nest11, nest12, nodes } = inject('workshop');
const CELLS = [
  { nest: 11, folder: nest11 },
  { nest: 12, folder: nest12 },
].flatMap((one) => nodes.map(({ version, path }) => ({ ...one, node: Number(version), path })));
/** The total rate; each path is called ten times a second. */
const PER_SECOND = 100;
/**
 * A drain waits until no request has arrived for 100 ms: a caller that stands still for longer says nothing about the
 * product.
 */
const FAIR_LAG_MS = 50;
const TEST_TIMEOUT_MS = 40_000;
const PATHS = KINDS.flatMap((kind) => PROTOCOLS[kind].map((protocol) => `/${kind}/${protocol}/7`));

if (nodes.length === 1 && !isShort)
  console.warn('skipped: other versions of Node.js, since npm has them for linux-x64 only');

/** A registry, three of each kind, and a gateway that calls them, all by one Node.js beside one Nest. */
class Cell {
  readonly #path: string;
  readonly #folder: string;
  url = '';
  gateway = '';
  /** The errors of failed calls that the gateway reports. */
  complaints: readonly string[] = [];
  /** These end under load: one of each kind in a process of its own, … */
  readonly alone: Child[] = [];
  /** … and after them one of each, all in one process. Another one like that stays. */
  together: Child | null = null;
  readonly started: Started[] = [];

  constructor(path: string, folder: string) {
    this.#path = path;
    this.#folder = folder;
  }

  async open(): Promise<void> {
    const registry = this.#start('node_modules/rollcall/bin/rollcall.js', 'up', '--json', '--port', '0');
    this.url = (JSON.parse(await registry.line(/^{/)) as { url: string }).url;
    const lasting = this.#start('kinds/dist/app.js', ...KINDS);
    const together = this.#start('kinds/dist/app.js', ...KINDS);
    this.together = together;
    const gateway = this.#start('kinds/dist/gateway.js');
    this.complaints = gateway.err;
    for (const kind of KINDS) this.alone.push(this.#start('kinds/dist/app.js', kind));
    this.gateway = (JSON.parse(await gateway.line(/^{/)) as { url: string }).url;
    for (const [index, kind] of KINDS.entries()) {
      for (const child of [lasting, together, this.alone[index]]) {
        const line = await child?.line(new RegExp(`^{"kind":"${kind}"`));
        this.started.push(JSON.parse(line ?? '') as Started);
      }
    }
  }

  #start(program: string, ...args: readonly string[]): Child {
    const env = this.url === '' ? {} : { ROLLCALL_URL: this.url };
    return launch(this.#path, [join(this.#folder, program), ...args], { cwd: this.#folder, env });
  }
}

const drainsOf = (child: Child | null): number =>
  child?.out.filter((line) => /Drained in \d+ ms/.test(line)).length ?? 0;

describe.each(CELLS)('Nest $nest on Node $node', ({ folder, path }) => {
  let witness: Rollcall | null = null;

  async function close(): Promise<void> {
    await witness?.close();
    witness = null;
    await endAll();
  }
  afterEach(close);

  async function opened(): Promise<Cell> {
    const cell = new Cell(path, folder);
    await cell.open();
    witness = new Rollcall({ registry: cell.url });
    witness.start();
    return cell;
  }

  /** All instances, as the registry lists them. */
  async function healthy({ started }: Cell): Promise<readonly Instance[]> {
    const views = KINDS.flatMap((kind) => witness?.service(kind) ?? []);
    const seen = () => views.flatMap((view) => view.instances).filter(({ state }) => state === 'HEALTHY');
    await waitFor('all of them are HEALTHY', () => seen().length === started.length, TEST_TIMEOUT_MS);
    return seen();
  }

  it('every kind is registered correctly, called, and drained under load: no call fails', async () => {
    let cell = await opened();
    const instances = await healthy(cell);
    for (const started of cell.started) expectRegistration(started, instances);
    let run = await drainUnderLoad(cell, PER_SECOND);
    if (run.failures.length > 0 && run.lagMs > FAIR_LAG_MS) {
      console.warn(`Repeated with half of the calls: this process was up to ${run.lagMs.toFixed(0)} ms late.`);
      await close();
      cell = await opened();
      await healthy(cell);
      run = await drainUnderLoad(cell, PER_SECOND / 2);
    }
    expect(run.failures, cell.complaints.join('\n')).toEqual([]);
    for (const child of cell.alone) expect(drainsOf(child)).toBe(1);
    expect(drainsOf(cell.together)).toBe(KINDS.length);
  });
});

/** Checks its ports, protocols and address, with nothing configured but its name. */
function expectRegistration({ kind, instance, ports }: Started, instances: readonly Instance[]): void {
  const { service, reason, endpoints = [] } = instances.find(({ id }) => id === instance) ?? {};
  expect([service, reason?.code]).toEqual([kind, 'BOTH_WAYS_OK']);
  expect(endpoints.map(({ protocol }) => protocol).toSorted()).toEqual(PROTOCOLS[kind].toSorted());
  for (const { protocol, host, port, tls } of endpoints) {
    expect({ host, tls }).toEqual({ host: '127.0.0.1', tls: false });
    expect(port).toBe(ports[protocol] ?? (protocol === 'grpc' ? port : undefined));
  }
}

/**
 * Ends the processes with one instance, then the shared one; resolves with the failures, and the delay of this process.
 */
async function drainUnderLoad(cell: Cell, perSecond: number) {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const loading = load(cell.gateway, PATHS, perSecond);
  const { replies } = loading;
  const served = (instance: string): number => replies.filter((reply) => reply.instance === instance).length;
  await waitFor(
    'each has answered',
    () => cell.started.every(({ instance }) => served(instance) >= 3),
    TEST_TIMEOUT_MS,
  );
  for (const child of cell.alone) child.kill('SIGTERM');
  await Promise.all(cell.alone.map(({ exited }) => exited));
  cell.together?.kill('SIGTERM');
  await cell.together?.exited;
  const before = replies.length;
  await waitFor('it continues', () => replies.length >= before + 50, TEST_TIMEOUT_MS);
  await loading.stop();
  delay.disable();
  return { failures: replies.filter(isFailed), lagMs: delay.max / 1e6 };
}
