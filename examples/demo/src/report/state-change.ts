import type { InstanceChange } from 'rollcall';

/** A new state or reason, or a removal. */
export function isStateChange({ instance, before, removed }: InstanceChange): boolean {
  return removed !== null || before?.state !== instance.state || before.reason.text !== instance.reason.text;
}
