import { TARGET_KEY } from '@rollcall/core';
import type { Suspicion } from '@rollcall/core';
import type { Node } from '../../balance/nodes/node.js';
import type { Selector } from '../../balance/nodes/selector.js';
import type { PickArgs } from '../../balance/pickers/picker.js';
import type { CalledService } from '../../call/service/called-service.js';
import type { Attempted, ConnectedNode } from '../../call/service/connected-node.js';
import type { Method } from '../../call/service/method.js';
import { ping } from '../../call/service/ping.js';
import type { Services, ServiceView } from '../../discovery/catalog.js';
import type { GrpcRequest } from '../../transport/grpc/message.js';
import { hasIdentity } from '../../transport/identity.js';
import type { Failure } from '../../transport/transport.js';

export interface GrpcRouteParts {
  readonly service: string;
  readonly services: Services;
  /** Returns the called service. A service that is unknown is not kept, so that the result may differ later. */
  callee(): CalledService;
  suspect(id: string, outcome: Suspicion['outcome']): void;
}

type GrpcStation = ConnectedNode<GrpcRequest>;

/** The timeout of the identity check, ms. */
const VERIFY_MS = 2_000;

/**
 * One service for callers with connections of their own, the channels of grpc-js: they request an instance here for each call, and report
 * its outcome, so that load, breaker and limits are the same as for our own calls.
 */
export class ExternalChannel {
  readonly #parts: GrpcRouteParts;
  readonly #verifying = new Set<GrpcStation>();

  constructor(parts: GrpcRouteParts) {
    this.#parts = parts;
  }

  get view(): ServiceView {
    return this.#parts.services.service(this.#parts.service);
  }

  /** The callable instances, each of which needs a connection. */
  get stations(): readonly GrpcStation[] {
    const { balancer } = this.#parts.callee().grpc;
    return Array.from(balancer.nodes).filter((node) => balancer.isCallable(node));
  }

  /** Resolves when the service is known or unknown, or when the wait has ended. */
  settled(): Promise<void> {
    const { policy } = this.#parts.callee();
    return this.#parts.services.settle(this.view, policy.catalogWaitMs);
  }

  /** Creates a call that needs an instance. `method`: `Service/Method`. */
  call(method: string): RoutedCall {
    const callee = this.#parts.callee();
    return new RoutedCall(callee, callee.grpc.method(method));
  }

  /** The maximum number of attempts for a call of the method; 1: it is not retried. */
  attemptsOf(method: string): number {
    const callee = this.#parts.callee();
    return callee.grpc.method(method).rules.isIdempotent === true ? callee.policy.attempts : 1;
  }

  /** Why no instance can take a call. */
  noneText(): string {
    const callee = this.#parts.callee();
    const { code, message } = callee.noneError('grpc', callee.standard);
    return `${code}: ${message}`;
  }

  /** Records that no connection could be made. */
  unreachable(station: GrpcStation, failure: Failure): void {
    const callee = this.#parts.callee();
    const call = new RoutedCall(callee, callee.grpc.method(''));
    call.begin(station);
    call.failed(failure);
  }

  /**
   * Checks the identity of a server that refuses requests for this instance. If it is another process, the catalog and the registry are
   * notified.
   */
  verify(station: GrpcStation): void {
    if (this.#verifying.has(station)) return;
    this.#verifying.add(station);
    const callee = this.#parts.callee();
    const terms = { channel: station.channel, wheel: callee.wheel, timeoutMs: VERIFY_MS, now: callee.now() };
    ping(terms, (failure) => {
      this.#verifying.delete(station);
      if (failure?.kind === 'misdirected') this.#parts.suspect(station.id, failure.kind);
    });
  }
}

/** One call over a connection of another library: the input of a pick, and then the attempt. */
export class RoutedCall implements PickArgs, Attempted<GrpcRequest> {
  readonly selector: Selector;
  readonly hashKey = null;
  readonly probes = 'once';
  readonly reason = 'first';
  /** No trace, since the owner of the connection traces the call. */
  readonly trace = null;
  readonly method: Method;
  now: number;
  tried: Node | null = null;
  triedToo: Node | null = null;
  isProbe = false;
  startedAt = 0;
  sentAt = 0;
  patienceMs = 0;
  pick = 0;
  #node: GrpcStation | null = null;
  readonly #callee: CalledService;
  #stage: 'looking' | 'begun' | 'over' = 'looking';

  constructor(callee: CalledService, method: Method) {
    this.#callee = callee;
    this.selector = callee.standard;
    this.method = method;
    this.now = callee.now();
  }

  get node(): GrpcStation {
    if (this.#node === null) throw new Error('no instance was picked');
    return this.#node;
  }

  /** Metadata with the id of the requested instance. Null if the id is unknown. */
  get target(): readonly [name: string, id: string] | null {
    const { instance, endpoint } = this.node;
    return hasIdentity({ instance, endpoint }) ? [TARGET_KEY, instance.id] : null;
  }

  /** Picks an instance; false if no instance, or only skipped ones, can take the call. */
  find(): boolean {
    this.#node = this.#callee.grpc.balancer.pick(this);
    return this.#node !== null;
  }

  /** Skips the picked instance, which has no connection: the next `find` picks another one. */
  skip(): void {
    const node = this.#node;
    if (node === null) return;
    this.giveUp();
    this.triedToo = this.tried;
    this.tried = node;
    this.#node = null;
  }

  /** Takes this instance, if it may be called now. */
  take(node: GrpcStation): boolean {
    if (!this.#callee.grpc.balancer.isCallable(node) || !node.admits(this.now)) return false;
    this.#node = node;
    return true;
  }

  /** Takes the callable instance with the fewest calls, whatever its limit. */
  takeAny(nodes: readonly GrpcStation[]): boolean {
    let best: GrpcStation | null = null;
    for (const node of nodes) {
      if (!this.#callee.grpc.balancer.isCallable(node)) continue;
      if (best === null || node.inFlight < best.inFlight) best = node;
    }
    this.#node = best;
    return best !== null;
  }

  /** Returns the probe of a call that never began. */
  giveUp(): void {
    if (this.#stage !== 'looking' || !this.isProbe) return;
    this.isProbe = false;
    this.#callee.grpc.balancer.endProbe(this.node);
  }

  begin(node: GrpcStation = this.node): void {
    this.#node = node;
    this.#stage = 'begun';
    const now = this.#callee.now();
    this.startedAt = now;
    this.sentAt = now;
    this.patienceMs = this.#callee.grpc.patienceMs(this.method, node, Infinity, now);
    this.#callee.grpc.begin(this, true, now);
  }

  answered(): void {
    if (this.#end()) this.#callee.grpc.answered(this, this.#callee.now());
  }

  failed(failure: Failure): void {
    if (this.#end()) this.#callee.grpc.failed(this, failure, this.#callee.now());
  }

  cancelled(): void {
    if (this.#end()) this.#callee.grpc.cancelled(this, this.#callee.now());
  }

  #end(): boolean {
    if (this.#stage !== 'begun') return false;
    this.#stage = 'over';
    return true;
  }
}
