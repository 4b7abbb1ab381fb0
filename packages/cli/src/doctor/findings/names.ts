import { shortId } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { serviceIn } from '../../render/outages.js';
import type { Facts } from '../facts/facts.js';
import type { Finding } from './finding.js';

type Named = Pick<Instance, 'id' | 'service'>;

/** The printed name of an instance, which other commands accept. */
export const nameOf = (instance: Named, { names }: Pick<Facts, 'names'>): string =>
  names.get(instance.id) ?? shortId(instance);

/** The printed name of a service, which other commands accept. */
export const serviceNameOf = (
  service: Pick<Instance, 'namespace' | 'service'>,
  { hasNamespaces }: Pick<Facts, 'hasNamespaces'>,
): string => serviceIn(hasNamespaces)(service);

/** Services as `<namespace>/<service>`, each once. */
export const keysOf = (instances: readonly Pick<Instance, 'namespace' | 'service'>[]): readonly string[] => [
  ...new Set(instances.map(serviceIn(true))),
];

/** The finding with the names and services of its instances, and with how much of these services is lost. */
export function withServices(found: Finding, facts: Facts): Finding {
  if (found.instances.length === 0 || found.names.length > 0) return found;
  const about = facts.instances.map(({ instance }) => instance).filter(({ id }) => found.instances.includes(id));
  const services = keysOf(about);
  const shares = services.map((key) => {
    const { all, callable } = facts.services.get(key) ?? { all: 0, callable: 0 };
    return all === 0 ? 0 : (all - callable) / all;
  });
  return {
    ...found,
    names: about.map((instance) => nameOf(instance, facts)),
    services,
    share: found.share ?? Math.max(0, ...shares),
  };
}
