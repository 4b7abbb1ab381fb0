import type { ChannelOptions, experimental, Metadata, StatusObject } from '@grpc/grpc-js';
import { MISDIRECTED_METADATA, REFUSAL_METADATA } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import type { ConnectedNode } from '../../call/service/connected-node.js';
import { isTooLarge } from '../../transport/grpc/message.js';
import type { GrpcRequest } from '../../transport/grpc/message.js';
import type { Failure } from '../../transport/transport.js';
import type { ExternalChannel, RoutedCall } from './external-channel.js';

/** The needed part of grpc-js, which is loaded on first use. */
export type GrpcLibrary = Pick<
  typeof import('@grpc/grpc-js'),
  'connectivityState' | 'experimental' | 'Metadata' | 'status'
>;

/** The configuration that grpc-js passes from a resolver to a balancer: the name of the service. */
export interface ServiceChoice extends experimental.TypedLoadBalancingConfig {
  readonly route: ExternalChannel | null;
}

type ChannelControlHelper = experimental.ChannelControlHelper;
type PickResult = experimental.PickResult;
type Connectivity = ReturnType<experimental.SubchannelInterface['getConnectivityState']>;

export interface GrpcBalancerParts {
  readonly grpc: GrpcLibrary;
  readonly name: string;
  readonly time: Time;
  choiceOf(config: experimental.TypedLoadBalancingConfig): ServiceChoice | null;
}

/** The number of instances that are tried in the order of the balancer; after them, any connected instance. */
const MAX_PICKS = 3;
/**
 * The time after which a picked call that has not begun is given up, ms: grpc-js begins a call a few microseconds after the pick, unless
 * the call was cancelled or waits for its credentials.
 */
const BEGIN_MS = 1_000;

/**
 * A load balancing policy for grpc-js (gRFC A-series; `experimental` in grpc-js): a subchannel for each instance, and our own balancer with
 * its gates makes each pick. Deadlines, streams and retries are those of grpc-js.
 */
export class GrpcBalancer implements experimental.LoadBalancer {
  readonly #parts: GrpcBalancerParts;
  readonly #helper: ChannelControlHelper;
  readonly #connections = new Map<ConnectedNode<GrpcRequest>, InstanceConnection>();
  readonly #picker: experimental.Picker = { pick: (args) => this.#pick(args) };
  #route: ExternalChannel | null = null;
  #lastError = '';

  constructor(helper: ChannelControlHelper, parts: GrpcBalancerParts) {
    this.#helper = helper;
    this.#parts = parts;
  }

  updateAddressList(
    endpoints: experimental.StatusOr<experimental.Endpoint[]>,
    config: experimental.TypedLoadBalancingConfig,
    options: ChannelOptions,
  ): boolean {
    const choice = this.#parts.choiceOf(config);
    if (choice === null) return false;
    this.#route = choice.route;
    if (endpoints.ok) this.#follow(this.#subchannelOptions(options));
    if (endpoints.ok || this.#connections.size > 0) this.#updateState();
    else this.#refuse(endpoints.error);
    return true;
  }

  exitIdle(): void {
    for (const line of this.#connections.values()) line.connect();
  }

  resetBackoff(): void {}

  destroy(): void {
    for (const line of this.#connections.values()) line.end();
    this.#connections.clear();
    this.#route = null;
  }

  getTypeName(): string {
    return this.#parts.name;
  }

  #refuse(error: StatusObject): void {
    const { connectivityState, experimental: types } = this.#parts.grpc;
    this.#helper.updateState(connectivityState.TRANSIENT_FAILURE, new types.UnavailablePicker(error), error.details);
  }

  #subchannelOptions(options: ChannelOptions): ChannelOptions {
    // subchannels with this option cannot be shared between channels
    const { [this.#parts.grpc.experimental.CHANNEL_ARGS_CONFIG_SELECTOR_KEY]: _selector, ...rest } = options;
    return rest;
  }

  /** Opens a connection to each new instance and ends those of removed instances; the others are kept. */
  #follow(options: ChannelOptions): void {
    const stations = new Set(this.#route?.stations);
    for (const [node, line] of this.#connections) {
      if (stations.has(node)) continue;
      this.#connections.delete(node);
      line.end();
    }
    for (const node of stations) {
      if (this.#connections.has(node)) continue;
      const { host, port } = node.endpoint;
      const subchannel = this.#helper.createSubchannel({ host, port }, options);
      const line = new InstanceConnection(subchannel, (state, text) => this.#changed(node, state, text));
      this.#connections.set(node, line);
      line.connect();
    }
  }

  #changed(node: ConnectedNode<GrpcRequest>, state: Connectivity, text: string): void {
    const { connectivityState } = this.#parts.grpc;
    if (!this.#connections.has(node)) return;
    if (state === connectivityState.TRANSIENT_FAILURE) {
      this.#lastError = text;
      const kind = text.includes('ECONNREFUSED') ? 'refused' : 'unreachable';
      this.#route?.unreachable(node, { kind, cause: new Error(text) });
    }
    // an ended connection is opened again; after a failure grpc-js waits before it reports idle
    if (state === connectivityState.IDLE) this.#connections.get(node)?.connect();
    this.#updateState();
  }

  /** Updates the state of the channel; grpc-js then picks again for waiting calls. */
  #updateState(): void {
    const { READY, CONNECTING, TRANSIENT_FAILURE, IDLE } = this.#parts.grpc.connectivityState;
    let best = TRANSIENT_FAILURE;
    for (const { state } of this.#connections.values()) {
      if (state === READY) best = READY;
      else if ((state === CONNECTING || state === IDLE) && best !== READY) best = CONNECTING;
    }
    this.#helper.updateState(best, this.#picker, best === TRANSIENT_FAILURE ? this.#lastError : null);
  }

  #pick({ metadata, extraPickInfo }: experimental.PickArgs): PickResult {
    const { connectivityState, experimental: types } = this.#parts.grpc;
    const call = this.#route?.call(extraPickInfo['method'] ?? '');
    if (call === undefined) return this.#failure('this channel was closed');
    if (this.#find(call)) return this.#complete(call, metadata);
    for (const { state } of this.#connections.values()) {
      if (state === connectivityState.CONNECTING || state === connectivityState.IDLE)
        return queue(types.PickResultType.QUEUE);
    }
    return this.#failure(this.#route?.noneText() ?? '');
  }

  #find(call: RoutedCall): boolean {
    for (let picks = 0; picks < MAX_PICKS && call.find(); picks += 1) {
      if (this.#isReady(this.#connections.get(call.node))) return true;
      call.skip();
    }
    const ready = [...this.#connections].filter(([, line]) => this.#isReady(line)).map(([node]) => node);
    // no call fails because of an estimate: if all connected instances seem full, the one with the fewest calls takes it
    return ready.some((node) => call.take(node)) || call.takeAny(ready);
  }

  #isReady(line: InstanceConnection | undefined): boolean {
    return line?.state === this.#parts.grpc.connectivityState.READY;
  }

  #complete(call: RoutedCall, metadata: Metadata): PickResult {
    const line = this.#connections.get(call.node);
    const { target } = call;
    if (target !== null) {
      metadata.set(...target);
      metadata.set(REFUSAL_METADATA, 'stream');
    }
    if (call.isProbe) this.#parts.time.setTimer(BEGIN_MS, () => call.giveUp(), { background: true });
    return {
      pickResultType: this.#parts.grpc.experimental.PickResultType.COMPLETE,
      subchannel: line?.subchannel ?? null,
      status: null,
      onCallStarted: () => call.begin(),
      onCallEnded: (code, details, trailers) => this.#ended(call, code, { details, trailers }),
    };
  }

  #failure(text: string): PickResult {
    const { status, Metadata: Fields, experimental: types } = this.#parts.grpc;
    const error = this.#lastError === '' ? text : `${text} Last error: ${this.#lastError}`;
    return {
      pickResultType: types.PickResultType.TRANSIENT_FAILURE,
      subchannel: null,
      status: { code: status.UNAVAILABLE, details: error, metadata: new Fields() },
      onCallStarted: null,
      onCallEnded: null,
    };
  }

  #ended(call: RoutedCall, code: StatusObject['code'], { details, trailers }: Ending): void {
    const { status } = this.#parts.grpc;
    if (code === status.CANCELLED) return call.cancelled();
    const kind = this.#kindOf(code, { details, trailers });
    if (kind === null) return call.answered();
    if (details === REFUSED) this.#route?.verify(call.node);
    call.failed({ kind, cause: new Error(details) });
  }

  /** Null: the handler ran and returned a result or an error of its own. */
  #kindOf(code: StatusObject['code'], { details, trailers }: Ending): Failure['kind'] | null {
    const { status } = this.#parts.grpc;
    if (code === status.DEADLINE_EXCEEDED) return 'timeout';
    if (code === status.RESOURCE_EXHAUSTED) return isTooLarge(details) ? null : 'overloaded';
    if (code !== status.UNAVAILABLE) return null;
    if (trailers.get(MISDIRECTED_METADATA).length > 0) return 'misdirected';
    return details === REFUSED ? 'unsent' : details === DROPPED ? 'closed' : 'unavailable';
  }
}

interface Ending {
  readonly details: string;
  readonly trailers: Metadata;
}

/** The texts of grpc-js for a stream refused with REFUSED_STREAM, and for a connection that ended. */
const REFUSED = 'Stream refused by server';
const DROPPED = 'Connection dropped';

function queue(pickResultType: experimental.PickResultType): PickResult {
  return { pickResultType, subchannel: null, status: null, onCallStarted: null, onCallEnded: null };
}

/** The connection to one instance, while it is in use. */
class InstanceConnection {
  readonly subchannel: experimental.SubchannelInterface;
  state: Connectivity;
  readonly #listener: experimental.ConnectivityStateListener;

  constructor(subchannel: experimental.SubchannelInterface, changed: (state: Connectivity, text: string) => void) {
    this.subchannel = subchannel;
    this.state = subchannel.getConnectivityState();
    this.#listener = (...[, , next, , text = '']) => {
      this.state = next;
      changed(next, text);
    };
    subchannel.ref();
    subchannel.addConnectivityStateListener(this.#listener);
  }

  /** A no-op for a connection that is open or being opened, or that failed recently. */
  connect(): void {
    this.subchannel.startConnecting();
  }

  end(): void {
    this.subchannel.removeConnectivityStateListener(this.#listener);
    this.subchannel.unref();
  }
}
