import { nonceOf } from '@rollcall/core';
import type { AnnouncedEndpoint, DrainAnswer, HeartbeatAnswer, Instance } from '@rollcall/core';
import type { CallOptions, RollcallFace, StreamObserver } from './inject.js';

/** One request of the application to others. */
export interface MadeCall {
  readonly verb: 'call' | 'stream' | 'emit' | 'fetch';
  readonly service: string;
  readonly pattern: unknown;
  readonly data: unknown;
  readonly options: CallOptions | undefined;
}

/** A Rollcall without a registry, which keeps what it was told. Its answers can be replaced. */
export class FakeRollcall implements RollcallFace {
  readonly id: string;
  readonly status = 'connected';
  /** In order: `start`, `register`, `drain`, `close`, and the names of services that were asked for. */
  readonly events: string[] = [];
  readonly heard: unknown[] = [];
  readonly made: MadeCall[] = [];
  registered: readonly AnnouncedEndpoint[] | null = null;
  cancelled = 0;
  onDrain: () => Promise<DrainAnswer> = () => Promise.resolve({ watchers: 1 });
  onCall: () => Promise<unknown> = () => Promise.resolve('answered');
  onStream: (observer: StreamObserver) => void = (observer) => observer.complete();

  constructor(id = 'orders-1') {
    this.id = id;
  }

  start(): void {
    this.events.push('start');
  }

  register(endpoints: readonly AnnouncedEndpoint[]): Promise<void> {
    this.events.push('register');
    this.registered = endpoints;
    return Promise.resolve();
  }

  answer(question: unknown): HeartbeatAnswer {
    this.heard.push(question);
    return { instance: this.id, nonce: nonceOf(question) };
  }

  call(service: string, pattern: unknown, data: unknown, options?: CallOptions): Promise<unknown> {
    this.made.push({ verb: 'call', service, pattern, data, options });
    return this.onCall();
  }

  // eslint-disable-next-line max-params
  stream(service: string, pattern: unknown, data: unknown, observer: StreamObserver, options?: CallOptions) {
    this.made.push({ verb: 'stream', service, pattern, data, options });
    this.onStream(observer);
    return { cancel: () => void (this.cancelled += 1) };
  }

  async emit(service: string, pattern: unknown, data: unknown, options?: CallOptions): Promise<void> {
    this.made.push({ verb: 'emit', service, pattern, data, options });
    await this.onCall();
  }

  fetch(service: string, path: string, init?: RequestInit, options?: CallOptions): Promise<Response> {
    this.made.push({ verb: 'fetch', service, pattern: path, data: init, options });
    return Promise.resolve(new Response('fetched'));
  }

  instances(name: string): readonly Instance[] {
    this.events.push(name);
    return [];
  }

  explain(): unknown {
    return null;
  }

  drain(): Promise<DrainAnswer> {
    this.events.push('drain');
    return this.onDrain();
  }

  close(): Promise<void> {
    this.events.push('close');
    return Promise.resolve();
  }
}
