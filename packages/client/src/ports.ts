import type { Log, Meter, Random, Time } from '@rollcall/core';
import type { CallTransports, Inherited } from './call/calls.js';
import type { RegistryClient } from './registry-client/registry-client.js';
import type { CallerListener } from './telemetry/events.js';
import type { CallTracer } from './transport/tracing.js';

/** The ports to the outside; the machine's own where left out. */
export interface RollcallPorts {
  readonly time?: Time;
  readonly random?: Random;
  /** Default: counts nothing. */
  readonly meter?: Meter;
  /** Default: logs nothing. */
  readonly log?: Log;
  /** The way to the registry; default: HTTP to the option `registry`. It is closed with the client. */
  readonly link?: RegistryClient;
  /** The values that the request being handled leaves to its calls, as its server keeps them. Default: none. */
  readonly inherited?: () => Inherited | null;
  /** Gets the events of callers: ejections, a service without a callable instance, sheds, hedges; see `CallerEvent`. */
  readonly onCallerEvent?: CallerListener;
  /** Follows calls, to draw traces of them; see `CallTracer`. Default: none. */
  readonly tracer?: CallTracer;
  /** The ways to instances; default: TCP, HTTP and gRPC. They are closed with the client. */
  readonly transports?: CallTransports;
}
