import type { VNode } from 'preact';
import { useSession } from '../model/session.js';

/** `staging/` before the name of a service or an instance, where the registry has several namespaces. */
export function InNamespace({ of }: { readonly of: string | null }): VNode | null {
  const { namespaces } = useSession().roll;
  return of === null || namespaces.value.length < 2 ? null : <span class="faint">{of}/</span>;
}
