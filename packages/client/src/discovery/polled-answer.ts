import { resetOf } from '@rollcall/core';
import type { Problem, Result, ServiceFrame, ServiceViewAnswer } from '@rollcall/core';
import type { Catalog } from './catalog.js';

export interface PolledParts {
  readonly catalog: Catalog;
  readonly namespace: string;
  /** Logs a text; a code is logged once. */
  readonly report: (code: string, text: string) => void;
}

/**
 * Applies the answer to a poll of one service to the catalog. Returns false if the registry refused the request without an answer about the
 * service.
 */
export function applyPolled(
  service: string,
  answer: Result<ServiceViewAnswer, Problem>,
  { catalog, namespace, report }: PolledParts,
): boolean {
  const apply = (frame: ServiceFrame): void => {
    if (catalog.apply(frame) === 'broken')
      report('too much', `The answer of the registry about "${service}" is rejected: it is too large.`);
  };
  if (answer.ok) {
    apply({ event: 'reset', data: resetOf(answer.value) });
    if (answer.value.settled) catalog.settled([service]);
  } else if (answer.problem.code === 'NOT_FOUND') {
    apply({ event: 'unknown', data: { namespace, service } });
  } else {
    const { code, detail, fix } = answer.problem;
    if (code !== 'NOT_READY') report(code, `${detail} ${fix}`);
    return false;
  }
  catalog.confirm([service]);
  return true;
}
