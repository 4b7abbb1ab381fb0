import { Logger } from '@nestjs/common';
import { systemTime } from '@rollcall/core';
import type { Ports } from './inject.js';
import type { Settings } from './rollcall.module-definition.js';

/** The default ports: the machine's clock, Nest's Logger, and the meter and tracing of the options. */
export function systemPorts({ meter, tracing }: Settings): Ports {
  const logger = new Logger('Rollcall');
  return {
    time: systemTime,
    log: {
      debug: (text) => logger.debug(text),
      info: (text) => logger.log(text),
      warn: (text) => logger.warn(text),
      error: (text) => logger.error(text),
    },
    ...(meter === undefined ? {} : { meter }),
    ...(tracing === undefined ? {} : { tracer: tracing.calls, requests: tracing.requests }),
  };
}
