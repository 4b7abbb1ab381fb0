/** Of every package of Rollcall: they are released together. A test holds it to theirs. */
export const VERSION = '0.1.0';

/** What a service tells of itself in its metadata, for `rollcall doctor` and Prometheus, beside the words of its own. */
export const TOLD: { readonly version: string; readonly shutdownHooks: string; readonly metrics: string } =
  Object.freeze({
    /** The version of Rollcall that it runs. */
    version: 'rollcall.version',
    /** `off`: nobody in it listens for SIGTERM, so that ends it in the middle of its requests. */
    shutdownHooks: 'rollcall.shutdown-hooks',
    /** Where Prometheus scrapes it: `<port>` or `<port>/<path>`; `none`: nowhere. */
    metrics: 'rollcall.metrics',
  });
