import type { InstanceChange } from 'rollcall';

/** A state or a reason that was not there before, or an end. */
export function isNews({ instance, before, removed }: InstanceChange): boolean {
  return removed !== null || before?.state !== instance.state || before.reason.text !== instance.reason.text;
}
