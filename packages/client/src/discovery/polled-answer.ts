import { resetOf } from '@rollcall/core';
import type { Problem, Result, ServiceFrame, ServiceViewAnswer } from '@rollcall/core';
import type { Catalog } from './catalog.js';

export interface PolledParts {
  readonly catalog: Catalog;
  readonly namespace: string;
  /** Tells people, under a code by which it is told once. */
  readonly complain: (code: string, text: string) => void;
}

/** Puts the answer to a question about one service into the catalog. False: the registry refused, and said nothing of the service. */
export function applyPolled(
  service: string,
  answer: Result<ServiceViewAnswer, Problem>,
  { catalog, namespace, complain }: PolledParts,
): boolean {
  const apply = (frame: ServiceFrame): void => {
    if (catalog.apply(frame) === 'broken')
      complain('too much', `What the registry answers about "${service}" is not believed: it is too much.`);
  };
  if (answer.ok) {
    apply({ event: 'reset', data: resetOf(answer.value) });
    if (answer.value.settled) catalog.settled([service]);
  } else if (answer.problem.code === 'NOT_FOUND') {
    apply({ event: 'unknown', data: { namespace, service } });
  } else {
    const { code, detail, fix } = answer.problem;
    if (code !== 'NOT_READY') complain(code, `${detail} ${fix}`);
    return false;
  }
  catalog.confirm([service]);
  return true;
}
