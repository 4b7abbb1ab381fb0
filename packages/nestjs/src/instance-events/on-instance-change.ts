import type { Instance } from '@rollcall/core';

/** The metadata key of the service names of a method. */
export const ON_INSTANCE_CHANGE = Symbol.for('rollcall.on-instance-change');

/**
 * What happened to an instance of another service, according to the registry. `came`: it is known from now on, also one
 * that existed before. `went`: it no longer is. `state`: its state or its admin state has changed.
 */
export interface InstanceChange {
  readonly kind: 'came' | 'went' | 'state';
  readonly service: string;
  /** The current record, or the last one. */
  readonly instance: Instance;
  /** The record before; null if it came. */
  readonly before: Instance | null;
}

/**
 * Calls the method of a provider or controller with each `InstanceChange` of these services, in order and outside of
 * any request; promises are not awaited. If it throws or rejects, the error is logged and affects no other listener.
 * The services are watched from the moment this process listens, makes its first call or calls `Rollcall.start()`.
 * Request-scoped providers are not called.
 */
export function OnInstanceChange(...services: readonly [string, ...string[]]): MethodDecorator {
  return (_target, _key, descriptor) => {
    Reflect.defineMetadata(ON_INSTANCE_CHANGE, services, Object(descriptor.value));
    return descriptor;
  };
}

/** The changes between `before` and `after`, in the order of `after`; removed instances come last. */
export function changesBetween(
  service: string,
  before: ReadonlyMap<string, Instance>,
  after: readonly Instance[],
): readonly InstanceChange[] {
  const changes: InstanceChange[] = [];
  let kept = 0;
  for (const instance of after) {
    const known = before.get(instance.id);
    if (known !== undefined) kept += 1;
    if (known === instance) continue;
    if (known === undefined) changes.push({ kind: 'came', service, instance, before: null });
    else if (known.state !== instance.state || known.admin !== instance.admin)
      changes.push({ kind: 'state', service, instance, before: known });
  }
  if (kept === before.size) return changes;
  const there = new Set(after.map((instance) => instance.id));
  for (const known of before.values())
    if (!there.has(known.id)) changes.push({ kind: 'went', service, instance: known, before: known });
  return changes;
}
