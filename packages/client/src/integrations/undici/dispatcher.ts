import { option, parseOptions } from '@rollcall/core';
import type { OptionsOf } from '@rollcall/core';
import type { Dispatcher } from 'undici';
import type { Calls, OneCall } from '../../call/calls.js';
import { checkCallOptions } from '../../call/policy/call-options.js';
import type { HttpRequest } from '../../transport/http/message.js';
import { hostsField, ServiceHosts } from './hosts.js';
import { dispatched } from './request.js';
import { responseHandlerOf, Delivery } from './response.js';

export type { Dispatcher } from 'undici';

export const dispatcherFields = {
  hosts: hostsField,
  fallback: option.value<Pick<Dispatcher, 'dispatch'>>({
    doc: 'Handles requests to all other hosts. Default: the global dispatcher of undici at the time of creation.',
    allowed: 'an undici Dispatcher',
    is: isDispatcher,
  }),
};

/** How a dispatcher of `Rollcall.dispatcher` treats its requests. */
export interface DispatcherOptions {
  /**
   * Which hosts of `http:` URLs without a port are services. Default `*` (one label, not localhost) and `*.rollcall`.
   */
  readonly hosts?: readonly string[] | undefined;
  /** Handles requests to all other hosts. Default: the global dispatcher of undici at the time of creation. */
  readonly fallback?: Pick<Dispatcher, 'dispatch'> | undefined;
  /** The options of all its calls. The options `idempotent` and `headersTimeout` (as `deadlineMs`) of a request override them. */
  readonly call?: Omit<OneCall, 'signal'> | undefined;
}

interface DispatcherParts {
  readonly calls: Calls;
  readonly bufferedBytes: number;
  /** Called before each call by name. */
  wake(): void;
}

type Undici = Pick<typeof import('undici'), 'Dispatcher' | 'errors' | 'getGlobalDispatcher' | 'util'>;

/**
 * An undici dispatcher that knows services by name. Loads undici. Throws OPTION_INVALID. Closing it ends neither connections, which belong
 * to the client, nor the fallback, which belongs to its creator.
 */
export async function serviceDispatcher(parts: DispatcherParts, options: DispatcherOptions = {}): Promise<Dispatcher> {
  const { call = {}, ...others } = options;
  const parsed = parseOptions(dispatcherFields, others);
  checkCallOptions(call);
  // eslint-disable-next-line no-restricted-imports -- this is the load at first use
  const [undici] = await Promise.all([import('undici'), parts.calls.prepare()]);
  return create(undici, parts, parsed, call);
}

// eslint-disable-next-line max-params -- called once, above
function create(
  undici: Undici,
  parts: DispatcherParts,
  options: OptionsOf<typeof dispatcherFields>,
  call: OneCall,
): Dispatcher {
  const hosts = new ServiceHosts(options.hosts);
  // read now: later this dispatcher itself may be the global one
  const fallback = options.fallback ?? undici.getGlobalDispatcher();

  /** Creates the class on first use, because its base class is loaded then. */
  class ServiceDispatcher extends undici.Dispatcher {
    #isClosed = false;

    override dispatch(wanted: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
      const { origin } = wanted;
      const service = origin === undefined ? null : hosts.serviceOf(origin);
      if (service === null) return fallback.dispatch(wanted, handler);
      const delivery = new Delivery(responseHandlerOf(handler, undici));
      delivery.begin();
      if (delivery.isOver) return true;
      if (this.#isClosed) delivery.error(new undici.errors.ClientClosedError());
      else if (isUpgrade(wanted)) delivery.error(new undici.errors.NotSupportedError(UPGRADE_TEXT));
      else this.#begin(service, wanted, delivery);
      return true;
    }

    #begin(service: string, wanted: Dispatcher.DispatchOptions, delivery: Delivery): void {
      try {
        const request = dispatched(wanted, parts.bufferedBytes);
        const callOptions = callOptionsOf(wanted, call);
        if (!(request instanceof Promise)) return this.#call(service, request, { delivery, callOptions });
        request
          .then((buffered) => this.#call(service, buffered, { delivery, callOptions }))
          .catch((error: unknown) => delivery.error(errorOf(error)));
      } catch (error) {
        delivery.error(errorOf(error));
      }
    }

    #call(
      service: string,
      request: HttpRequest,
      { delivery, callOptions }: { delivery: Delivery; callOptions: OneCall },
    ): void {
      if (delivery.isOver) return;
      parts.wake();
      delivery.follow(parts.calls.request(service, request, delivery, callOptions));
    }

    override async close(done?: () => void): Promise<void> {
      this.#isClosed = true;
      done?.();
    }

    override destroy(reason?: Error | null | (() => void), done?: () => void): Promise<void> {
      return this.close(typeof reason === 'function' ? reason : done);
    }
  }
  return new ServiceDispatcher();
}

const UPGRADE_TEXT =
  'Upgrades to another protocol (WebSocket, CONNECT) are not possible by name: take an address from rollcall.instances(name).';

function isUpgrade({ method, upgrade }: Dispatcher.DispatchOptions): boolean {
  return method === 'CONNECT' || (upgrade !== undefined && upgrade !== null && upgrade !== false);
}

function callOptionsOf({ idempotent, headersTimeout }: Dispatcher.DispatchOptions, call: OneCall): OneCall {
  const hasTimeout = typeof headersTimeout === 'number' && headersTimeout > 0;
  if (idempotent === undefined && !hasTimeout) return call;
  return {
    ...call,
    ...(idempotent === undefined ? {} : { idempotent }),
    ...(hasTimeout ? { deadlineMs: headersTimeout } : {}),
  };
}

function isDispatcher(received: unknown): received is Pick<Dispatcher, 'dispatch'> {
  return (
    typeof received === 'object' &&
    received !== null &&
    'dispatch' in received &&
    typeof received.dispatch === 'function'
  );
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
