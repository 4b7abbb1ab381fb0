import { nearest, RollcallError } from '@rollcall/core';
import type { Instance, Time } from '@rollcall/core';
import type { Services, ServiceView } from '../discovery/catalog.js';
import type { Contact } from '../registry-client/connection-status.js';
import { policyOf } from './policy/service-options.js';
import type { CallOptions } from './policy/service-options.js';
import { censusText } from './service/call-error.js';

/** How long `ready` waits, and its signal. */
export interface ReadyOptions {
  /** 0 … 2,147,483,647 ms; default 10,000. 0 checks once without waiting. */
  readonly timeoutMs?: number;
  /** Ends the wait with CANCELLED. */
  readonly signal?: AbortSignal;
}

export interface ReadinessParts {
  readonly time: Time;
  readonly services: Services;
  readonly options: { readonly calls: CallOptions; readonly service?: string | undefined };
  readonly contact: Pick<Contact, 'status' | 'registry'>;
  /** True if this process has registered itself, or has no service to register. */
  readonly isAnnounced: () => boolean;
}

const TIMEOUT_MS = 10_000;
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Waits until services can be called. A service is ready when it has an instance that can be called without waiting: in a state that its
 * policy allows, not REGISTERING (such an instance has not answered the registry yet), and not disabled by an operator.
 */
export class Readiness {
  readonly #parts: ReadinessParts;
  readonly #dependencies = new Set<string>();
  /** The reject function of each wait. */
  readonly #waits = new Set<(error: RollcallError) => void>();

  constructor(parts: ReadinessParts) {
    this.#parts = parts;
  }

  /** Adds a service to those that `wait` waits for when no names are given. */
  dependOn(service: string): void {
    this.#dependencies.add(service);
  }

  /**
   * Resolves when all are ready. Rejects at the timeout with NO_CATALOG, UNKNOWN_SERVICE or NO_INSTANCE (retryable) and the reason for each
   * service that is not; also with CANCELLED, CLOSED and OPTION_INVALID. If services wait for each other, each must
   * register first.
   */
  async wait(
    names: string | readonly string[] = [...this.#dependencies],
    { timeoutMs = TIMEOUT_MS, signal }: ReadyOptions = {},
  ): Promise<void> {
    if (!(timeoutMs >= 0 && timeoutMs <= LONGEST_MS))
      throw new RollcallError(
        'OPTION_INVALID',
        `timeoutMs of ready(): ${timeoutMs} is not a number of ms from 0 to ${LONGEST_MS}.`,
      );
    const views = [...new Set([names].flat())].map((name) => this.#parts.services.service(name));
    const isMissing = (view: ServiceView): boolean => !this.#isReady(view);
    if (signal?.aborted === true) throw cancelledError(signal);
    if (!views.some(isMissing)) return;
    await new Promise<void>((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        this.#waits.delete(fail);
        signal?.removeEventListener('abort', abort);
        for (const stop of stops) stop();
      };
      const fail = (error: RollcallError): void => {
        end();
        reject(error);
      };
      const abort = (): void => fail(cancelledError(signal));
      const look = (): void => {
        if (views.some(isMissing)) return;
        end();
        resolve();
      };
      const late = (): void => fail(this.#lateError(views.filter(isMissing), timeoutMs));
      const timer = this.#parts.time.setTimer(timeoutMs, late);
      const stops = views.map((view) => view.onChange(look));
      this.#waits.add(fail);
      signal?.addEventListener('abort', abort);
    });
  }

  /** Ends every wait with this error. */
  close(error: RollcallError): void {
    for (const fail of this.#waits) fail(error);
  }

  #isReady({ service, instances }: ServiceView): boolean {
    const states = policyOf(this.#parts.options.calls, service).allowedStates;
    return instances.some(
      ({ state, admin }) => admin === 'ENABLED' && state !== 'REGISTERING' && states.includes(state),
    );
  }

  #lateError(missing: readonly ServiceView[], timeoutMs: number): RollcallError {
    const reasons = missing.map((view) => `${view.service} (${this.#why(view)})`).join(', ');
    const { options, isAnnounced } = this.#parts;
    const hint = options.service === undefined || isAnnounced() ? '' : notRegisteredHint(options.service);
    const text = `Not ready within ${timeoutMs} ms: ${reasons}.${hint}`;
    const statuses = new Set(missing.map(({ status }) => status));
    const code = statuses.has('waiting') ? 'NO_CATALOG' : statuses.has('known') ? 'NO_INSTANCE' : 'UNKNOWN_SERVICE';
    return new RollcallError(code, text, { retryable: true });
  }

  #why({ service, status, instances }: ServiceView): string {
    if (instances.length > 0) return this.#whyNone(instances);
    const { contact } = this.#parts;
    if (status === 'waiting' && contact.status !== 'connected') return `no registry answers at ${contact.registry}`;
    if (status === 'waiting') return 'the registry has not reported it yet';
    if (status === 'known') return 'no instance is registered';
    const meant = nearest(service, this.#parts.services.names());
    return `the registry knows no such service${meant === null ? '' : `; did you mean ${meant}?`}`;
  }

  #whyNone(instances: readonly Instance[]): string {
    const census = censusText(instances);
    const isLeaving = instances.every(({ state, admin }) => admin !== 'ENABLED' || state === 'DEREGISTERING');
    if (isLeaving) return `all are leaving or disabled by an operator: ${census}`;
    const isNew = instances.every(({ state }) => state === 'REGISTERING');
    return isNew ? `none has answered the registry yet: ${census}` : `none may be called: ${census}`;
  }
}

/** A hint for services that wait for each other before they listen, and would never start. */
function notRegisteredHint(service: string): string {
  return (
    ` This process, ${service}, has not registered yet: it registers when it listens. If it waits for services that wait for it, none of them ` +
    'starts: wait after app.listen(), or do not await ready() in onModuleInit and onApplicationBootstrap.'
  );
}

function cancelledError(signal: AbortSignal | undefined): RollcallError {
  return new RollcallError('CANCELLED', 'The wait for services was cancelled.', { cause: signal?.reason });
}
