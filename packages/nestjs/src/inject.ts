import { Inject } from '@nestjs/common';
import type { AnnouncedEndpoint, DrainAnswer, HeartbeatAnswer, Instance, Log, Time } from '@rollcall/core';

// `Symbol.for`, so that two copies of this package in one application still find each other's providers
export const ROLLCALL = Symbol.for('rollcall.Rollcall');
export const AGENT = Symbol.for('rollcall.RollcallAgent');
export const MEMBERSHIP = Symbol.for('rollcall.Membership');
export const SETTINGS = Symbol.for('rollcall.Settings');
export const PORTS = Symbol.for('rollcall.Ports');

/** The clock and the log of everything in an application. */
export interface Ports {
  readonly time: Time;
  readonly log: Log;
}

// TEMPORARY until @rollcall/client has it
export interface CallOptions {
  readonly deadlineMs?: number;
  readonly idempotent?: boolean;
}
export interface StreamObserver {
  next(value: unknown): void;
  error(error: unknown): void;
  complete(): void;
}
export interface RollcallFace {
  readonly id: string;
  readonly status: string;
  start(): void;
  register(endpoints: readonly AnnouncedEndpoint[]): Promise<void>;
  answer(question: unknown): HeartbeatAnswer;
  call(service: string, pattern: unknown, data: unknown, options?: CallOptions): Promise<unknown>;
  stream(
    service: string,
    pattern: unknown,
    data: unknown,
    observer: StreamObserver,
    options?: CallOptions,
  ): { cancel(): void };
  emit(service: string, pattern: unknown, data: unknown, options?: CallOptions): Promise<void>;
  fetch(service: string, path: string, init?: RequestInit, options?: CallOptions): Promise<Response>;
  instances(name: string): readonly Instance[];
  explain(name: string): unknown;
  drain(options: { deadlineMs: number }): Promise<DrainAnswer>;
  close(): Promise<void>;
}

/** Under which a service's client is found: `overrideProvider(getServiceToken('orders'))` in tests. */
export function getServiceToken(service: string): string {
  return `rollcall.service.${service}`;
}

/** Injects the `ServiceClient` of a service that was named in `RollcallModule.forFeature`. */
export function InjectService(service: string): ParameterDecorator & PropertyDecorator {
  return Inject(getServiceToken(service));
}
