import type { Log, Meter, Random, Time } from '@rollcall/core';
import type { CallTransports, Inherited } from './call/calls.js';
import type { RegistryClient } from './registry-client/registry-client.js';
import type { CallerListener } from './telemetry/events.js';
import type { CallTracer } from './transport/tracing.js';

/** The ports to the outside; the defaults are those of this machine. */
export interface RollcallPorts {
  readonly time?: Time;
  readonly random?: Random;
  /** Default: metrics are not recorded. */
  readonly meter?: Meter;
  /** Default: nothing is logged. */
  readonly log?: Log;
  /** The connection to the registry; default: HTTP to the option `registry`. It is closed with the client. */
  readonly link?: RegistryClient;
  /** The deadline context of the request being handled, which its calls inherit. Default: none. */
  readonly inherited?: () => Inherited | null;
  /** Receives the events of callers: ejections, a service without a callable instance, refused calls, hedges; see `CallerEvent`. */
  readonly onCallerEvent?: CallerListener;
  /** Traces calls; see `CallTracer`. Default: none. */
  readonly tracer?: CallTracer;
  /** The transports to instances; default: TCP, HTTP and gRPC. They are closed with the client. */
  readonly transports?: CallTransports;
}
