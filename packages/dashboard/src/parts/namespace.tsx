import type { VNode } from 'preact';
import { useFilterLink, useNamespace, useSession, useStaleSince } from '../model/live/session.js';
import { clockText } from '../model/text/age.js';
import { hashOf, serviceHash } from '../model/view/route.js';

/** `staging/` before the name of a service or an instance, if the registry has several namespaces. */
export function InNamespace({ namespace }: { readonly namespace: string | null }): VNode | null {
  const { namespaces } = useSession().roll;
  return namespace === null || namespaces.value.length < 2 ? null : <span class="faint">{namespace}/</span>;
}

/**
 * True if the shown namespace has no services, while others exist. Known for a complete view only. `default` always
 * exists.
 */
export function useUnknownNamespace(): string | null {
  const { roll } = useSession();
  const chosen = useNamespace();
  const known = roll.namespaces.value;
  const isCertain = roll.arrival.value === null && known.length > 0;
  return chosen !== '*' && chosen !== 'default' && isCertain && !known.includes(chosen) ? chosen : null;
}

/** `staleSince`: the time since which the view is old. */
export const noNamespaceText = (name: string, staleSince: number | null): string =>
  staleSince === null
    ? `There is no namespace ${name}.`
    : `There was no namespace ${name} at ${clockText(staleSince)}.`;

/** Reports an unknown namespace, with links to the existing ones. */
export function UnknownNamespace({ name }: { readonly name: string }): VNode {
  const { namespaces } = useSession().roll;
  const link = useFilterLink();
  const staleSince = useStaleSince();
  const known = namespaces.value;
  const isOne = known.length === 1;
  return (
    <section class="panel panel-body spaced">
      <p>
        <b>{noNamespaceText(name, staleSince)}</b> There{' '}
        {staleSince === null ? (isOne ? 'is' : 'are') : isOne ? 'was' : 'were'}{' '}
        {known.map((existing, at) => (
          <span key={existing}>
            {at > 0 && ', '}
            <a class="link" href={link('ns', existing)}>
              {existing}
            </a>
          </span>
        ))}
        .{' '}
        <a class="link" href={link('ns', '*')}>
          Show all
        </a>
      </p>
    </section>
  );
}

/** The other namespaces with a service of this name. */
export function Elsewhere({ name }: { readonly name: string }): VNode | null {
  const { roll } = useSession();
  const isOld = useStaleSince() !== null;
  const homes = roll.services.value.filter((node) => node.name === name);
  if (homes.length === 0) return null;
  return (
    <p class="panel panel-body">
      {name} {isOld ? 'was' : 'is'} in the namespace{' '}
      {homes.map(({ namespace }, at) => (
        <span key={namespace}>
          {at > 0 && ', '}
          <a class="link" href={serviceHash(namespace, name)}>
            {namespace}
          </a>
        </span>
      ))}
      . <a href={hashOf('services', { ns: '*' })}>All services</a>
    </p>
  );
}
