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

/** The clock, the log and the counters of everything in an application; the client's other ports where they are not the usual ones. */
export interface Ports extends Pick<RollcallPorts, 'tracer' | 'link' | 'transports'> {
  readonly time: Time;
  readonly log: Log;
  /** Default: counts nothing. */
  readonly meter?: Meter;
  /** Follows what comes in over TCP. Default: nobody does. */
  readonly requests?: RequestTracer;
}

/** What this package needs of the client: whatever is provided under `ROLLCALL` has these. */
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

/** Under which a service's client is found: `overrideProvider(getServiceToken('orders'))` in tests. */
export function getServiceToken(service: string): string {
  return `rollcall.service.${service}`;
}

/** Injects the `ServiceClient` of a service that was named in `RollcallModule.forFeature`. */
export function InjectService(service: string): ParameterDecorator & PropertyDecorator {
  return Inject(getServiceToken(service));
}
