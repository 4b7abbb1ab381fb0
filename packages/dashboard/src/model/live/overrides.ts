import { AWAY_STATES } from '@rollcall/core';
import type { InstanceListAnswer, Overrides } from './answers.js';
import { useAnswer } from './session.js';

interface OverridesInput {
  readonly namespace: string;
  /** Left out: of all services. */
  readonly service?: string;
  /** True if an operator keeps an instance away. Else nothing is requested. */
  readonly hasAny: boolean;
}

/** Settings of more instances than this are not requested. */
const MAX_OVERRIDES = 1_000;

/**
 * The settings of operators for the instances that they drained or put into maintenance. The stream of changes does not
 * contain them, so they are requested every 5 s; for one service also at each change. For all services the answer is
 * too large for that.
 */
export function useOverrides({ namespace, service, hasAny }: OverridesInput): Overrides {
  const query = new URLSearchParams({ namespace, limit: String(MAX_OVERRIDES) });
  for (const admin of AWAY_STATES) query.append('admin', admin);
  if (service !== undefined) query.append('service', service);
  const path = hasAny ? `api/v1/instances?${query.toString()}` : null;
  const { value } = useAnswer<InstanceListAnswer>(path, { onChange: service !== undefined }).value;
  const listed = value?.instances ?? [];
  return new Map(listed.flatMap(({ id, override }) => (override === undefined ? [] : [[id, override] as const])));
}
