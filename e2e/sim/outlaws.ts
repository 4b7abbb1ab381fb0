import type { AdminState, Beat, Registration } from '@rollcall/core';
import type { WatcherSink } from '@rollcall/registry';
import type { Network } from './network.js';
import type { RegistryNode, Request, RequestOutcome } from './registry-node.js';
import type { Place, Tenant } from './tenant.js';

const GHOSTS_ADDRESS = '10.0.3.1';
const THIEFS_ADDRESS = '10.6.6.6';
const THIEFS_SECRET = 'the-secret-of-a-thief-of-ids';
const SQUATTERS_SECRET = 'the-secret-of-all-the-squatters';
const IS_OVER = new Set(['NOT_FOUND', 'ENDED', 'ADDRESS_TAKEN']);
const NOBODY_LISTENS: WatcherSink = { flush() {}, beat() {}, backlog: () => 0, end() {} };

/** Where they are, and who sees what they do. */
export interface Haunt {
  readonly seed: number;
  readonly network: Network;
  readonly registry: RegistryNode;
  /** Everybody who ever lived, by instance id. */
  readonly known: ReadonlyMap<string, Tenant>;
  placesOf(target: string): readonly Place[];
  tenantsOf(target: string): readonly Tenant[];
  every(ms: number, run: () => void): () => void;
  /** Does this life of the registry know the secret of this id? */
  isOwned(id: string): boolean;
  /** Something was asked of the registry, and answered. */
  saw(request: Request, outcome: RequestOutcome): void;
  /** An operator's word was acknowledged. */
  amended(id: string, admin: AdminState, endsByItself: boolean): void;
  /** An operator's removal was acknowledged. */
  ended(id: string): void;
}

/** Operators and thieves: who speak to the registry at its door, without a process or a network of their own. */
export class Outlaws {
  readonly #haunt: Haunt;
  readonly #lastBeats = new Map<string, { readonly secret: string; readonly beat: Beat }>();
  #thefts = 0;

  constructor(haunt: Haunt) {
    this.#haunt = haunt;
    haunt.network.machine('ghosts', GHOSTS_ADDRESS);
  }

  /** A Heartbeat-2 that somebody could have overheard. */
  overhear(id: string, secret: string, beat: Beat): void {
    this.#lastBeats.set(id, { secret, beat });
  }

  /** Sends the last Heartbeat-2 of each once more. */
  replayBeats(target: string): void {
    for (const [id, { secret, beat }] of this.#lastBeats) {
      if (this.#isOf(id, target)) this.#registry?.beat(id, secret, beat);
    }
  }

  /** Tries everything that only the owner of an id may do, one after another, with another secret. */
  stealIds(target: string): void {
    this.#thefts += 1;
    for (const [id, { place }] of this.#haunt.known) {
      if (!this.#isOf(id, target) || place.service === null || !this.#haunt.isOwned(id)) continue;
      const theft = THEFTS[this.#thefts % THEFTS.length];
      const request = theft?.({ id, service: place.service });
      if (request !== undefined) void this.#ask(request, THIEFS_ADDRESS);
    }
  }

  /** Registers the addresses of a target under ids of its own, from the same machines, and beats for them. Returns how to leave. */
  squat(target: string): readonly (() => void)[] {
    return this.#haunt
      .placesOf(target)
      .filter(({ service }) => service !== null)
      .map((place, index) => this.#squatAt(place, `squatter-${this.#haunt.seed}-${place.name}-${index}`));
  }

  /** Registers ids of which there is no process, at ports where nobody listens. */
  registerGhosts(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const registration = {
        id: `ghosts-${this.#haunt.seed}-${index}`,
        service: 'ghosts',
        endpoints: [{ protocol: 'tcp' as const, port: 7_000 + index }],
        secret: 'the-secret-of-all-the-ghosts',
      };
      void this.#registry?.register(registration, { address: GHOSTS_ADDRESS });
    }
  }

  removeByOperator(target: string): void {
    for (const { id } of this.#haunt.tenantsOf(target)) if (id !== null) void this.#remove(id);
  }

  async #remove(id: string): Promise<void> {
    const answer = await this.#registry?.leave(id, { operator: true });
    if (answer?.ok === true) this.#haunt.ended(id);
  }

  /** An operator says what he wants of a target: for ever, or for so long. */
  amend(target: string, admin: AdminState, forMs: number | null): void {
    for (const { id } of this.#haunt.tenantsOf(target)) if (id !== null) void this.#amend(id, admin, forMs);
  }

  async #amend(id: string, admin: AdminState, forMs: number | null): Promise<void> {
    const now = this.#haunt.registry.process?.wall() ?? 0;
    const untilMs = forMs === null ? null : now + Math.max(1, forMs);
    const answer = await this.#registry?.amend(id, { admin, untilMs }, { operator: true });
    if (answer?.ok === true) this.#haunt.amended(id, admin, untilMs !== null);
  }

  #squatAt({ machine, service, endpoints }: Place, id: string): () => void {
    const registration = { id, service: service ?? '', endpoints, secret: SQUATTERS_SECRET };
    const proof = { id, secret: SQUATTERS_SECRET };
    let seq = 0;
    const stay = this.#haunt.every(1_000, () => {
      seq += 1;
      const isKnown = this.#registry?.beat(id, SQUATTERS_SECRET, { nonce: null, seq }).ok === true;
      if (!isKnown) void this.#ask({ route: 'register', registration }, machine.address);
    });
    return () => {
      stay();
      const leave = async (): Promise<void> => {
        const left = await this.#ask({ route: 'leave', proof }, machine.address);
        // never known, or gone by now
        if (left?.ok === true || IS_OVER.has(left?.problem?.code ?? '')) stop();
      };
      const stop = this.#haunt.every(500, () => void leave());
    };
  }

  async #ask(request: Request, address: string): Promise<RequestOutcome | undefined> {
    const answer = await this.#answerTo(request, address);
    if (answer !== undefined) this.#haunt.saw(request, answer);
    return answer;
  }

  #answerTo(request: Request, address: string): RequestOutcome | undefined | Promise<RequestOutcome> {
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
        return registry?.watch(request.request, NOBODY_LISTENS);
      case 'suspect':
        return registry?.suspect(request.id, request.suspicion);
    }
  }

  get #registry() {
    const { registry, isListening } = this.#haunt.registry;
    return isListening ? registry : null;
  }

  #isOf(id: string, target: string): boolean {
    const place = this.#haunt.known.get(id)?.place;
    return place !== undefined && this.#haunt.placesOf(target).includes(place);
  }
}

interface Victim {
  readonly id: string;
  readonly service: string;
}

const proofOf = ({ id }: Victim) => ({ id, secret: THIEFS_SECRET });
const endpoints: Registration['endpoints'] = [{ protocol: 'tcp', port: 6_666 }];

/** What only the owner may ask for, each asked by a thief. */
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
