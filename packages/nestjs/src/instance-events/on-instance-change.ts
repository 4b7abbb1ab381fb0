import type { Instance } from '@rollcall/core';

/** Under this the names of services stand at a method. */
export const ON_INSTANCE_CHANGE = Symbol.for('rollcall.on-instance-change');

/**
 * What happened to an instance of another service, by what the registry says. `came`: it is known from now on, those too that were there
 * before. `went`: it is not any more. `state`: its state or what an operator wants of it has changed.
 */
export interface InstanceChange {
  readonly kind: 'came' | 'went' | 'state';
  readonly service: string;
  /** As it is now, or was at last. */
  readonly instance: Instance;
  /** As it was before; null: it came. */
  readonly before: Instance | null;
}

/**
 * The method of a provider or controller is called with each `InstanceChange` of these services, in order, outside of any request;
 * promises are not waited for. What it throws, or rejects with, is logged and stops nobody. The services are watched from the moment this process
 * listens, makes its first call or calls `Rollcall.start()`. Providers that are made for each request are not called.
 */
export function OnInstanceChange(...services: readonly [string, ...string[]]): MethodDecorator {
  return (_target, _key, descriptor) => {
    Reflect.defineMetadata(ON_INSTANCE_CHANGE, services, Object(descriptor.value));
    return descriptor;
  };
}

/** What became of `before`, in the order of `after`; those that went come last. */
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
