import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../process/free-port.js';

/** Why tests with etcd cannot run here; undefined: they can. */
export const etcdSkipReason = (): string | undefined =>
  spawnSync('etcd', ['--version']).status === 0 ? undefined : 'etcd is not installed (Debian: etcd-server)';

/** One etcd process with its data in a temporary folder. */
export interface EtcdProcess {
  readonly port: number;
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  /** Starts it again on its data after SIGKILL. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

interface MemberAddress {
  readonly name: string;
  readonly port: number;
  readonly peerPort: number;
  /** Serves health in the clear. */
  readonly healthPort: number;
}

/** `isSecure`: its clients use TLS, by `flags`. */
export interface EtcdOptions {
  readonly isSecure?: boolean;
  readonly flags?: readonly string[];
}

class Member implements EtcdProcess {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'rollcall-etcd-'));
  readonly #address: MemberAddress;
  readonly #all: readonly MemberAddress[];
  readonly #options: EtcdOptions;
  #child: ChildProcess;

  constructor(address: MemberAddress, all: readonly MemberAddress[], options: EtcdOptions) {
    this.port = address.port;
    this.#address = address;
    this.#all = all;
    this.#options = options;
    this.#child = this.#spawn();
  }

  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }

  async restart(): Promise<void> {
    await this.#waitUntilEnded();
    this.#child = this.#spawn();
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#waitUntilEnded();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #waitUntilEnded(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
  }

  #spawn(): ChildProcess {
    const { name, port, peerPort, healthPort } = this.#address;
    const { isSecure = false, flags: extraFlags = [] } = this.#options;
    const [client, peer] = [`http${isSecure ? 's' : ''}://127.0.0.1:${port}`, `http://127.0.0.1:${peerPort}`];
    const cluster = this.#all.map((one) => `${one.name}=http://127.0.0.1:${one.peerPort}`).join(',');
    const flags = [
      `--name=${name}`,
      `--data-dir=${this.#folder}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=${cluster}`,
      `--listen-metrics-urls=http://127.0.0.1:${healthPort}`,
      ...extraFlags,
    ];
    return spawn('etcd', flags, { stdio: 'ignore' });
  }
}

/** Starts a cluster of one member and waits until it answers. */
export async function startEtcd(options: EtcdOptions = {}): Promise<EtcdProcess> {
  const [member] = await startEtcds(1, options);
  if (member === undefined) throw new Error('no member');
  return member;
}

/** Starts a cluster of this many members and waits until each of them answers. */
export async function startEtcds(count: number, options: EtcdOptions = {}): Promise<readonly EtcdProcess[]> {
  const places: MemberAddress[] = [];
  for (let n = 1; n <= count; n += 1) {
    places.push({
      name: `m${n}`,
      port: await freePort(),
      peerPort: await freePort(),
      healthPort: await freePort(),
    });
  }
  const members = places.map((address) => new Member(address, places, options));
  try {
    for (const { healthPort } of places) await waitUntilHealthy(healthPort);
  } catch (error) {
    for (const member of members) await member.close();
    throw error;
  }
  return members;
}

/** Waits until this member answers and knows a leader. */
export async function waitUntilHealthy(port: number): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    const isHealthy = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isHealthy) return;
    await pause(50);
  }
  throw new Error('etcd does not answer within 30 s.');
}

/** Calls the JSON gateway: for requests of tests only, with another client than the one under test. */
export async function gateway(port: number, path: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(`http://127.0.0.1:${port}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Record<string, unknown>;
}
