/** The version of every package of Rollcall: they are released together. A test compares it with each package.json. */
export const VERSION = '0.1.0';

/** The metadata keys that a service sets about itself, beside its own ones, for `rollcall doctor` and Prometheus. */
export const TOLD: { readonly version: string; readonly shutdownHooks: string; readonly metrics: string } =
  Object.freeze({
    /** The version of Rollcall that the service runs. */
    version: 'rollcall.version',
    /** `off`: the process has no handler for SIGTERM, so the signal ends it in the middle of its requests. */
    shutdownHooks: 'rollcall.shutdown-hooks',
    /** Where Prometheus scrapes the service: `<port>` or `<port>/<path>`; `none` if it has no metrics endpoint. */
    metrics: 'rollcall.metrics',
  });
