import type { AdminState, Beat, Registration } from '@rollcall/core';
import type { WatcherSink } from '@rollcall/registry';
import type { Network } from './network.js';
import type { RegistryNode, Request, RequestOutcome } from './registry-node.js';
import type { Place, ClientProcess } from './client-process.js';

const GHOSTS_ADDRESS = '10.0.3.1';
const THIEFS_ADDRESS = '10.6.6.6';
const THIEFS_SECRET = 'the-secret-of-a-thief-of-ids';
const SQUATTERS_SECRET = 'the-secret-of-all-the-squatters';
const FINAL_CODES = new Set(['NOT_FOUND', 'ENDED', 'ADDRESS_TAKEN']);
const NULL_SINK: WatcherSink = { flush() {}, beat() {}, backlog: () => 0, end() {} };

/** The run that the operators and attackers act on, and the observer of what they do. */
export interface OutsiderHost {
  readonly seed: number;
  readonly network: Network;
  readonly registry: RegistryNode;
  /** Every process that ever ran, by instance id. */
  readonly known: ReadonlyMap<string, ClientProcess>;
  placesOf(target: string): readonly Place[];
  clientsOf(target: string): readonly ClientProcess[];
  every(ms: number, run: () => void): () => void;
  /** Whether this registry process knows the secret of this id. */
  isOwned(id: string): boolean;
  /** A request was sent to the registry, and answered. */
  observed(request: Request, outcome: RequestOutcome): void;
  /** An operator's setting was acknowledged. */
  adminChanged(id: string, admin: AdminState, endsByItself: boolean): void;
  /** An operator's removal was acknowledged. */
  ended(id: string): void;
}

/** Operators and attackers: they send requests to the registry directly, without a process or a network of their own. */
export class Outsiders {
  readonly #host: OutsiderHost;
  readonly #lastBeats = new Map<string, { readonly secret: string; readonly beat: Beat }>();
  #thefts = 0;

  constructor(host: OutsiderHost) {
    this.#host = host;
    host.network.machine('ghosts', GHOSTS_ADDRESS);
  }

  /** Records a Heartbeat-2 that an attacker could have intercepted. */
  recordBeat(id: string, secret: string, beat: Beat): void {
    this.#lastBeats.set(id, { secret, beat });
  }

  /** Sends the last Heartbeat-2 of each instance once more. */
  replayBeats(target: string): void {
    for (const [id, { secret, beat }] of this.#lastBeats) {
      if (this.#isOf(id, target)) this.#registry?.beat(id, secret, beat);
    }
  }

  /** Sends every request that only the owner of an id may send, one after another, with another secret. */
  stealIds(target: string): void {
    this.#thefts += 1;
    for (const [id, { place }] of this.#host.known) {
      if (!this.#isOf(id, target) || place.service === null || !this.#host.isOwned(id)) continue;
      const theft = THEFTS[this.#thefts % THEFTS.length];
      const request = theft?.({ id, service: place.service });
      if (request !== undefined) void this.#send(request, THIEFS_ADDRESS);
    }
  }

  /**
   * Registers the addresses of a target under other ids, from the same machines, and beats for them. Returns functions
   * that leave.
   */
  occupyAddresses(target: string): readonly (() => void)[] {
    return this.#host
      .placesOf(target)
      .filter(({ service }) => service !== null)
      .map((place, index) => this.#squatAt(place, `squatter-${this.#host.seed}-${place.name}-${index}`));
  }

  /** Registers ids without a process, at ports where no process listens. */
  registerGhosts(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const registration = {
        id: `ghosts-${this.#host.seed}-${index}`,
        service: 'ghosts',
        endpoints: [{ protocol: 'tcp' as const, port: 7_000 + index }],
        secret: 'the-secret-of-all-the-ghosts',
      };
      void this.#registry?.register(registration, { address: GHOSTS_ADDRESS });
    }
  }

  removeByOperator(target: string): void {
    for (const { id } of this.#host.clientsOf(target)) if (id !== null) void this.#remove(id);
  }

  async #remove(id: string): Promise<void> {
    const answer = await this.#registry?.leave(id, { operator: true });
    if (answer?.ok === true) this.#host.ended(id);
  }

  /** An operator sets the admin state of a target: for ever, or for `forMs`. */
  setAdminState(target: string, admin: AdminState, forMs: number | null): void {
    for (const { id } of this.#host.clientsOf(target)) if (id !== null) void this.#sendAdminState(id, admin, forMs);
  }

  async #sendAdminState(id: string, admin: AdminState, forMs: number | null): Promise<void> {
    const now = this.#host.registry.process?.wall() ?? 0;
    const untilMs = forMs === null ? null : now + Math.max(1, forMs);
    const answer = await this.#registry?.amend(id, { admin, untilMs }, { operator: true });
    if (answer?.ok === true) this.#host.adminChanged(id, admin, untilMs !== null);
  }

  #squatAt({ machine, service, endpoints }: Place, id: string): () => void {
    const registration = { id, service: service ?? '', endpoints, secret: SQUATTERS_SECRET };
    const proof = { id, secret: SQUATTERS_SECRET };
    let seq = 0;
    const stopBeating = this.#host.every(1_000, () => {
      seq += 1;
      const isKnown = this.#registry?.beat(id, SQUATTERS_SECRET, { nonce: null, seq }).ok === true;
      if (!isKnown) void this.#send({ route: 'register', registration }, machine.address);
    });
    return () => {
      stopBeating();
      const leave = async (): Promise<void> => {
        const left = await this.#send({ route: 'leave', proof }, machine.address);
        // never known, or removed by now
        if (left?.ok === true || FINAL_CODES.has(left?.problem?.code ?? '')) stop();
      };
      const stop = this.#host.every(500, () => void leave());
    };
  }

  async #send(request: Request, address: string): Promise<RequestOutcome | undefined> {
    const answer = await this.#dispatch(request, address);
    if (answer !== undefined) this.#host.observed(request, answer);
    return answer;
  }

  #dispatch(request: Request, address: string): RequestOutcome | undefined | Promise<RequestOutcome> {
    const registry = this.#registry;
    switch (request.route) {
      case 'register':
        return registry?.register(request.registration, { address });
      case 'beat':
        return registry?.beat(request.proof.id, request.proof.secret, request.beat);
      case 'drain':
        return registry?.drain(request.proof.id, request.proof.secret, request.drain);
      case 'leave':
        return registry?.leave(request.proof.id, { secret: request.proof.secret });
      case 'watch':
        return registry?.watch(request.request, NULL_SINK);
      case 'suspect':
        return registry?.suspect(request.id, request.suspicion);
    }
  }

  get #registry() {
    const { registry, isListening } = this.#host.registry;
    return isListening ? registry : null;
  }

  #isOf(id: string, target: string): boolean {
    const place = this.#host.known.get(id)?.place;
    return place !== undefined && this.#host.placesOf(target).includes(place);
  }
}

interface Victim {
  readonly id: string;
  readonly service: string;
}

const proofOf = ({ id }: Victim) => ({ id, secret: THIEFS_SECRET });
const endpoints: Registration['endpoints'] = [{ protocol: 'tcp', port: 6_666 }];

/** The requests that only the owner may send, each sent by an attacker. */
const THEFTS: readonly ((of: Victim) => Request)[] = [
  ({ id, service }) => ({ route: 'register', registration: { id, service, endpoints, secret: THIEFS_SECRET } }),
  (of) => ({ route: 'beat', proof: proofOf(of), beat: { nonce: null, seq: 1_000_000 } }),
  (of) => ({ route: 'drain', proof: proofOf(of), drain: { deadlineMs: 0 } }),
  (of) => ({ route: 'leave', proof: proofOf(of) }),
  (of) => {
    const line = proofOf(of);
    return { route: 'watch', request: { namespace: 'default', services: [], resume: [], cursor: null, line } };
  },
];
