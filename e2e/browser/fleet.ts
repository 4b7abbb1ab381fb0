import { encodeFrame, FrameDecoder } from '@rollcall/core';
import type { Edge, State } from '@rollcall/core';
import { startRegistry } from '@rollcall/registry';
import type { RunningRegistry } from '@rollcall/registry';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { edgeOf, idOf, planOf } from './fleet-plan.js';
import type { Behavior, DashboardFleetOptions, FleetMember, Member } from './fleet-plan.js';

// 200 services with 5 instances each, for tests of the dashboard: a real registry, and one process that simulates all
// instances. They share one port and have an address each (127.1.x.y), answer Heartbeat-1, send Heartbeat-2, and report
// calls between them. Names, versions and zones are as long as the protocol allows; every state, every admin state and
// open circuits occur.

export interface DashboardFleet {
  readonly url: string;
  readonly registry: RunningRegistry;
  readonly members: readonly FleetMember[];
  /** The first instance of the plan with this conduct. */
  firstWith(behavior: Behavior): FleetMember;
  close(): Promise<void>;
}

const SECRET = 'a-secret-of-the-dashboard-fleet';
const REGISTRATIONS_AT_ONCE = 16;
const HOUR_MS = 3_600_000;
/** The planned states are reached after some 3 intervals. */
const INTERVAL_MS = 5_000;

/** The callees of a service: others of its namespace, by their distance in the plan. */
const CALLEES = [1, 5, 13];

class SimulatedInstances {
  readonly members: Member[];
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: REGISTRATIONS_AT_ONCE });
  readonly #membersByService: readonly Member[][];
  readonly #sockets = new Set<Socket>();
  #url = '';
  #turn = 0;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DashboardFleetOptions) {
    this.members = planOf(options);
    const places: Member[][] = [];
    for (const member of this.members) (places[member.at] ??= []).push(member);
    this.#membersByService = places;
    this.#server = createServer({ noDelay: true }, (socket) => this.#answer(socket));
  }

  async open(url: string): Promise<void> {
    this.#url = url;
    this.#server.listen({ port: 0, host: '0.0.0.0', backlog: 4_096 });
    await once(this.#server, 'listening');
    this.#startBeating();
    const waiting = [...this.members];
    const registerNext = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await this.#register(next);
    };
    await Promise.all(Array.from({ length: REGISTRATIONS_AT_ONCE }, registerNext));
    await Promise.all(this.members.map((member) => this.#applySettings(member)));
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    this.#agent.destroy();
  }

  async #register(member: Member): Promise<void> {
    const { id, service, namespace, version, zone, index } = member;
    const { port } = this.#server.address() as AddressInfo;
    const host = `127.1.${(index + 1) >> 8}.${(index + 1) & 255}`;
    const endpoints = [{ protocol: 'tcp', host, port }];
    const metadata = {
      pid: String(1_000 + index),
      commit: 'a1b2c3d4e5f60718293a4b5c6d7e8f9001122334',
      team: '物流チーム',
    };
    const registration = { id, secret: SECRET, service, namespace, version, zone, endpoints, metadata };
    const { status, body } = await this.#request('POST', '/api/v1/register', registration);
    if (status !== 201) throw new Error(`${id}: ${status} ${body.slice(0, 400)}`);
  }

  /** The settings of an operator for it, and its own deregistration. */
  async #applySettings({ id, admin, weight, behavior }: Member): Promise<void> {
    const path = `/api/v1/instances/${id}`;
    if (admin !== 'ENABLED' || weight !== 100) {
      const until = admin === 'MAINTENANCE' ? { untilMs: Date.now() + 2 * HOUR_MS } : {};
      await this.#request('PATCH', path, {
        admin,
        weight,
        reason: 'Wymiana dysków: новое ядро, 新しいカーネル',
        ...until,
      });
    }
    if (behavior === 'leaving') await this.#request('POST', `${path}/drain`, { deadlineMs: HOUR_MS });
  }

  /** Sends every instance's heartbeat once an interval, evenly spread. */
  #startBeating(): void {
    const tickMs = 20;
    let [next, owed, at] = [0, 0, performance.now()];
    this.#timer = setInterval(() => {
      const now = performance.now();
      owed = Math.min(this.members.length, owed + ((now - at) / INTERVAL_MS) * this.members.length);
      at = now;
      for (; owed >= 1; owed -= 1) {
        const member = this.members[next];
        if (member !== undefined && !this.#isSilent(member, 'mute')) void this.#beat(member);
        next = (next + 1) % this.members.length;
        if (next === 0) this.#replaceSome();
      }
    }, tickMs);
  }

  /** Instances with trouble planned are HEALTHY first. */
  #isSilent(member: Member, silence: 'mute' | 'unreachable'): boolean {
    const { behavior, wasHealthy, index } = member;
    if (behavior === 'flapping') return wasHealthy && (this.#turn + index) % 8 < 4;
    if (behavior === 'unproved') return silence === 'unreachable';
    return behavior === silence && wasHealthy;
  }

  #replaceSome(): void {
    this.#turn += 1;
    for (const member of this.members) {
      if (member.behavior !== 'replaced' || (this.#turn + member.index) % 8 !== 0) continue;
      void this.#replace(member);
    }
  }

  async #replace(member: Member): Promise<void> {
    await this.#request('DELETE', `/api/v1/instances/${member.id}`, undefined);
    if (this.#isClosed) return;
    member.generation += 1;
    Object.assign(member, { id: idOf(member.service, member.index, member.generation), nonce: null, seq: 0 });
    await this.#register(member).catch((error: unknown) => {
      if (!this.#isClosed) throw error;
    });
  }

  async #beat(member: Member): Promise<void> {
    const { id, nonce, seq } = member;
    member.seq += 1;
    const edges = this.#edgesOf(member);
    const beat = { nonce, seq, ...(edges.length === 0 ? {} : { edges }) };
    const { status, body } = await this.#request('POST', `/api/v1/instances/${id}/heartbeat`, beat);
    if (status !== 200) return;
    const { state } = JSON.parse(body) as { readonly state: State };
    member.state = state;
    member.wasHealthy ||= state === 'HEALTHY';
  }

  /** Two instances of three services in four report calls. */
  #edgesOf({ index, at, namespace, seq }: Member): Edge[] {
    if (index % 5 > 1 || at % 4 === 3) return [];
    const places = CALLEES.map((distance) => at + distance).filter((_, which) => which === 0 || (at + which) % 3 === 0);
    return places.flatMap((place) => {
      const callees = this.#membersByService[place] ?? [];
      const [first] = callees;
      return first === undefined || first.namespace !== namespace ? [] : [edgeOf(callees, at + 7 * place, seq)];
    });
  }

  #answer(socket: Socket): void {
    const decoder = new FrameDecoder();
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (bytes: Uint8Array) => {
      for (const frame of decoder.push(bytes).frames) this.#answerOne(socket, frame as RequestFrame);
    });
  }

  #answerOne(socket: Socket, { id, data }: RequestFrame): void {
    const { nonce, purpose, keep } = data;
    const member = this.#memberAt(socket.localAddress ?? '');
    if (member === undefined || this.#isSilent(member, 'unreachable')) {
      // half of them close the connection, the others send nothing
      if (member === undefined || member.index % 2 === 0) socket.destroy();
      return;
    }
    socket.write(encodeFrame({ id, response: { instance: member.id, nonce }, isDisposed: true }));
    if (keep !== true) socket.destroySoon();
    // callers and `rollcall doctor` request the identity without a nonce
    if (nonce === undefined) return;
    const isFirst = member.nonce === null;
    member.nonce = nonce;
    if ((isFirst || purpose === 'urgent') && !this.#isSilent(member, 'mute')) void this.#beat(member);
  }

  /** Each has an address of its own. */
  #memberAt(address: string): Member | undefined {
    const [, high, low] = /127\.1\.(\d+)\.(\d+)$/.exec(address) ?? [];
    return this.members[Number(high) * 256 + Number(low) - 1];
  }

  #request(method: string, path: string, payload: object | undefined): Promise<{ status: number; body: string }> {
    return new Promise((resolve) => {
      const headers = {
        ...(method === 'PATCH' ? { 'x-rollcall-operator': '1' } : { authorization: `Bearer ${SECRET}` }),
        ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      };
      const clientRequest = request(`${this.#url}${path}`, { method, agent: this.#agent, headers }, (answer) => {
        let body = '';
        answer.setEncoding('utf8').on('data', (part: string) => void (body += part));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      });
      clientRequest.on('error', ({ message }) => resolve({ status: 0, body: message }));
      clientRequest.end(payload === undefined ? undefined : JSON.stringify(payload));
    });
  }
}

interface RequestFrame {
  readonly id: string;
  readonly data: {
    readonly nonce?: string;
    readonly purpose?: string;
    readonly keep?: boolean;
  };
}

/** Troubles stay as they are: no silent instance is removed. */
const THRESHOLDS = { unhealthyAfter: 2, unprovedAfter: 2.4, criticalAfter: 900, lastCriticalAfter: 900 };
const STATE_OF: Partial<Record<Behavior, readonly State[]>> = {
  well: ['HEALTHY'],
  unreachable: ['UNHEALTHY'],
  unproved: ['CRITICAL', 'UNHEALTHY'],
  leaving: ['DEREGISTERING'],
};
const SETTLE_MS = 120_000;

/** Resolves when every instance is registered and in the state that its conduct leads to. */
export async function openDashboardFleet(options: DashboardFleetOptions = {}): Promise<DashboardFleet> {
  const registry = await startRegistry({
    port: 0,
    intervalMs: INTERVAL_MS,
    allowedNetworks: ['127.0.0.0/8'],
    thresholds: THRESHOLDS,
  });
  const instances = new SimulatedInstances(options);
  const close = async (): Promise<void> => {
    instances.close();
    await registry.close();
  };
  try {
    await instances.open(registry.url);
    await waitUntilSettled(instances.members);
  } catch (error) {
    await close();
    throw error;
  }
  const firstWith = (behavior: Behavior): FleetMember => {
    const found = instances.members.find((member) => member.behavior === behavior);
    if (found === undefined) throw new Error(`No instance of this fleet is ${behavior}.`);
    return found;
  };
  return { url: registry.url, registry, members: instances.members, firstWith, close };
}

const isAsPlanned = ({ behavior, state }: Member): boolean => STATE_OF[behavior]?.includes(state) ?? true;

async function waitUntilSettled(members: readonly Member[]): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  while (!members.every(isAsPlanned)) {
    if (performance.now() > deadline) {
      const late = members.filter((member) => !isAsPlanned(member));
      const [first] = late;
      throw new Error(
        `${late.length} instances are not as planned: ${first?.behavior} ${first?.id} is ${first?.state}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
