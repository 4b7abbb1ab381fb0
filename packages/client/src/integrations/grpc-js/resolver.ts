import type { ChannelOptions, experimental } from '@grpc/grpc-js';
import { messageOf, NAME_PATTERN, RollcallError } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import { RETRY_BACKOFF } from '../../call/policy/retry.js';
import { grpcMethodName } from '../../transport/grpc/message.js';
import { GrpcBalancer } from './balancer.js';
import type { GrpcLibrary, ServiceChoice } from './balancer.js';
import type { ExternalChannel } from './external-channel.js';
import type { GrpcResolverOptions } from './resolver-options.js';

export interface GrpcResolverParts {
  readonly time: Time;
  /** Called when a channel is created. */
  wake(): void;
  route(service: string): ExternalChannel;
  /** Default: `import('@grpc/grpc-js')`. */
  load?(): Promise<GrpcLibrary>;
}

/**
 * Registers `rollcall:///orders` as a URL scheme for all grpc-js clients that this process creates afterwards. Loads @grpc/grpc-js, and
 * rejects with OPTION_INVALID if it is not installed or the scheme is invalid.
 */
export async function registerGrpcResolver(
  parts: GrpcResolverParts,
  { scheme = 'rollcall' }: GrpcResolverOptions = {},
): Promise<void> {
  if (!/^[a-z][a-z0-9+.-]*$/.test(scheme)) {
    throw new RollcallError(
      'OPTION_INVALID',
      `scheme must be a URL scheme in lower case, such as rollcall; received ${JSON.stringify(scheme)}.`,
    );
  }
  const grpc = await loaded(parts);
  const name = `rollcall_${scheme}`;
  const choiceClass = serviceChoices(name, parts);
  const balancerParts = {
    grpc,
    name,
    time: parts.time,
    choiceOf: (config: experimental.TypedLoadBalancingConfig) => (config instanceof choiceClass ? config : null),
  };
  grpc.experimental.registerLoadBalancerType(
    name,
    class extends GrpcBalancer {
      constructor(helper: experimental.ChannelControlHelper) {
        super(helper, balancerParts);
      }
    },
    choiceClass,
  );
  grpc.experimental.registerResolver(
    scheme,
    class extends GrpcResolver {
      // eslint-disable-next-line no-useless-constructor -- the signature that grpc-js wants
      constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener, _options: ChannelOptions) {
        super({ target, listener, grpc, name, parts });
      }

      static getDefaultAuthority({ path }: experimental.GrpcUri): string {
        return path;
      }
    },
  );
}

async function loaded(parts: GrpcResolverParts): Promise<GrpcLibrary> {
  try {
    if (parts.load !== undefined) return await parts.load();
    // eslint-disable-next-line no-restricted-imports -- this is the load at first use
    return await import('@grpc/grpc-js');
  } catch (error) {
    const text = `gRPC clients by name need @grpc/grpc-js, which could not be loaded (${messageOf(error)}). Run: npm install @grpc/grpc-js`;
    throw new RollcallError('OPTION_INVALID', text, { cause: error });
  }
}

/** The class of the configurations that pass the name of a service from the resolver to the balancer. */
function serviceChoices(name: string, parts: GrpcResolverParts) {
  return class Choice implements ServiceChoice {
    readonly route: ExternalChannel | null;
    readonly #service: string;

    constructor(service: string) {
      this.#service = service;
      this.route = service === '' ? null : parts.route(service);
    }

    getLoadBalancerName(): string {
      return name;
    }

    toJsonObject(): object {
      return { [name]: { service: this.#service } };
    }

    static createFromJson(config: unknown): Choice {
      const isNamed = typeof config === 'object' && config !== null && 'service' in config;
      return new Choice(isNamed && typeof config.service === 'string' ? config.service : '');
    }
  };
}

interface ResolverTerms {
  readonly target: experimental.GrpcUri;
  readonly listener: experimental.ResolverListener;
  readonly grpc: GrpcLibrary;
  readonly name: string;
  readonly parts: GrpcResolverParts;
}

/**
 * Notifies a channel when the instances of its service change, and only then: grpc-js requests a resolution after every failure, and with a
 * server that fails at once each time this would loop.
 */
class GrpcResolver implements experimental.Resolver {
  readonly #terms: ResolverTerms;
  #unwatch: (() => void) | null = null;

  constructor(terms: ResolverTerms) {
    this.#terms = terms;
  }

  updateResolution(): void {
    if (this.#unwatch !== null) return;
    const { parts, target } = this.#terms;
    const service = target.path;
    if (!NAME_PATTERN.test(service)) {
      this.#unwatch = () => {};
      return this.#later(() =>
        this.#fail(`${JSON.stringify(service)} is not the name of a service: write rollcall:///orders.`),
      );
    }
    parts.wake();
    const route = parts.route(service);
    const unwatch = route.view.onChange(() => this.#later(() => this.#notify(route)));
    let isWatching = true;
    this.#unwatch = () => {
      isWatching = false;
      unwatch();
    };
    void route.settled().then(() => (isWatching ? this.#notify(route) : undefined));
  }

  destroy(): void {
    this.#unwatch?.();
    this.#unwatch = null;
  }

  /** Runs after `updateResolution` has returned, and after the balancer has received the change. */
  #later(run: () => void): void {
    void Promise.resolve().then(() => (this.#unwatch === null ? undefined : run()));
  }

  #notify(route: ExternalChannel): void {
    const { view } = route;
    if (view.status === 'waiting' && view.instances.length === 0) {
      return this.#fail('NO_CATALOG: the registry has not answered. Check that it runs.');
    }
    const { grpc, listener, name } = this.#terms;
    const endpoints = route.stations.map(({ endpoint: { host, port } }) => ({ addresses: [{ host, port }] }));
    const config = {
      loadBalancingConfig: [{ [name]: { service: view.service } }],
      methodConfig: [],
      retryThrottling: RETRY_THROTTLING,
    };
    const { statusOrFromValue, CHANNEL_ARGS_CONFIG_SELECTOR_KEY } = grpc.experimental;
    const attributes = { [CHANNEL_ARGS_CONFIG_SELECTOR_KEY]: new MethodConfigs(grpc, route) };
    listener(statusOrFromValue(endpoints), attributes, statusOrFromValue(config), '');
  }

  #fail(details: string): void {
    const { grpc, listener, name, target } = this.#terms;
    const { statusOrFromError, statusOrFromValue } = grpc.experimental;
    const service = NAME_PATTERN.test(target.path) ? target.path : '';
    const config = { loadBalancingConfig: [{ [name]: { service } }], methodConfig: [] };
    listener(statusOrFromError({ code: grpc.status.UNAVAILABLE, details }), {}, statusOrFromValue(config), '');
  }
}

/**
 * The retry throttling of grpc-js (gRFC A6): each failed attempt takes a token, each success returns a fraction of one, and with half of
 * the tokens or fewer no retry is made. All calls in flight to an instance that dies fail at the same moment, so half of the tokens must
 * suffice for all of them: 1,000 tokens, the maximum of gRFC A6, suffice for 500 calls. The fraction is the ratio of our own budget, 20 %.
 */
const RETRY_THROTTLING = { maxTokens: 1_000, tokenRatio: 0.2 };
/** gRFC A6 allows no more attempts. */
const MAX_ATTEMPTS = 5;

/**
 * The configuration of a call by its method: it is retried if the instances declare the method idempotent, and the balancer gets the name
 * of the method for its statistics.
 */
class MethodConfigs implements experimental.ConfigSelector {
  readonly #grpc: GrpcLibrary;
  readonly #route: ExternalChannel;

  constructor(grpc: GrpcLibrary, route: ExternalChannel) {
    this.#grpc = grpc;
    this.#route = route;
  }

  invoke(path: string): ReturnType<experimental.ConfigSelector['invoke']> {
    const method = grpcMethodName(path);
    const maxAttempts = Math.min(MAX_ATTEMPTS, this.#route.attemptsOf(method));
    return {
      methodConfig: maxAttempts > 1 ? { name: [], retryPolicy: this.#retryPolicy(maxAttempts) } : { name: [] },
      pickInformation: { method },
      status: this.#grpc.status.OK,
      dynamicFilterFactories: [],
    };
  }

  unref(): void {}

  /**
   * CANCELLED is the status of calls on a connection that the server destroys, as Nest does without `gracefulShutdown`, and sometimes when
   * the server is killed; grpc-js does not retry calls that their caller has cancelled.
   */
  #retryPolicy(maxAttempts: number): RetryPolicy {
    const { UNAVAILABLE, CANCELLED } = this.#grpc.status;
    return {
      maxAttempts,
      initialBackoff: `${RETRY_BACKOFF.baseMs / 1000}s`,
      maxBackoff: `${RETRY_BACKOFF.capMs / 1000}s`,
      backoffMultiplier: 2,
      retryableStatusCodes: [UNAVAILABLE, CANCELLED],
    };
  }
}

type RetryPolicy = NonNullable<ReturnType<experimental.ConfigSelector['invoke']>['methodConfig']['retryPolicy']>;
