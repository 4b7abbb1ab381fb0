import { Inject } from '@nestjs/common';
import type { Rollcall, RollcallPorts } from '@rollcall/client';
import type { Log, Meter, Time } from '@rollcall/core';
import type { RequestTracer } from './calls/tracing.js';

// `Symbol.for`, so that two copies of this package in one application still find each other's providers
export const ROLLCALL = Symbol.for('rollcall.Rollcall');
export const AGENT = Symbol.for('rollcall.RollcallAgent');
export const MEMBERSHIP = Symbol.for('rollcall.Membership');
export const SETTINGS = Symbol.for('rollcall.Settings');
export const INHERITANCE = Symbol.for('rollcall.Inheritance');
export const PORTS = Symbol.for('rollcall.Ports');

/** The clock, log and metrics of an application, and the client's other ports if they are not the default ones. */
export interface Ports extends Pick<RollcallPorts, 'tracer' | 'link' | 'transports'> {
  readonly time: Time;
  readonly log: Log;
  /** Default: discards all measurements. */
  readonly meter?: Meter;
  /** Traces incoming messages over TCP. Default: none. */
  readonly requests?: RequestTracer;
}

/** The part of the client that this package needs; every provider of `ROLLCALL` must have it. */
export type RollcallApi = Pick<
  Rollcall,
  | 'id'
  | 'state'
  | 'status'
  | 'onStatus'
  | 'start'
  | 'service'
  | 'fix'
  | 'instances'
  | 'dependOn'
  | 'useTcpCodec'
  | 'ready'
  | 'call'
  | 'stream'
  | 'emit'
  | 'fetch'
  | 'grpc'
  | 'grpcStream'
  | 'register'
  | 'say'
  | 'answer'
  | 'explain'
  | 'edges'
  | 'onEvent'
  | 'drain'
  | 'close'
>;

/** The injection token of a service's client, as in `overrideProvider(getServiceToken('orders'))` of a test. */
export function getServiceToken(service: string): string {
  return `rollcall.service.${service}`;
}

/** Injects the `ServiceClient` of a service that `RollcallModule.forFeature` names. */
export function InjectService(service: string): ParameterDecorator & PropertyDecorator {
  return Inject(getServiceToken(service));
}
