import type { VNode } from 'preact';
import { plural } from '../model/text/age.js';
import { tailOf } from '../model/text/instance-text.js';
import { instanceHash, serviceHash } from '../model/view/route.js';
import { InNamespace } from './namespace.js';

interface ClipProps {
  readonly text: string;
  readonly class?: string;
}

/**
 * Text on one line: it is cut with an ellipsis, and its title has the whole text. It can be selected and copied whole.
 */
export function Clip({ text, ...rest }: ClipProps): VNode {
  return (
    <span class={`clip ${rest.class ?? ''}`} title={text}>
      {text}
    </span>
  );
}

interface ServiceLinkProps {
  readonly namespace: string;
  readonly name: string;
  /** For a caller: the number of its instances that call. Left out if they are not counted. */
  readonly callers?: number;
  readonly class?: string;
}

/** `orders`, which leads to the service; the title has the whole name, with its namespace. */
export function ServiceLink({ namespace, name, callers, ...rest }: ServiceLinkProps): VNode {
  const title = `${namespace}/${name}`;
  return (
    <a
      class={rest.class ?? 'clip'}
      href={serviceHash(namespace, name)}
      title={
        callers === undefined
          ? title
          : `${title}, of which ${plural(callers, 'instance')} ${callers === 1 ? 'calls' : 'call'}`
      }
    >
      <InNamespace namespace={namespace} />
      {name} {callers !== undefined && <span class="faint">{plural(callers, 'instance')}</span>}
    </a>
  );
}

interface InstanceLinkProps {
  readonly id: string;
  /** Left out for a plain service. */
  readonly service?: string;
  /** Left out if it is the plain one. */
  readonly namespace?: string | null;
}

/** `orders…1e07` as a link to the instance. Its last characters stay at any width; the title has the whole id. */
export function InstanceLink({ id, service = '', namespace = null }: InstanceLinkProps): VNode {
  return (
    <a class="mono name" href={instanceHash(id)} title={namespace === null ? id : `${namespace}/${id}`}>
      {service !== '' && (
        <span class="clip">
          <InNamespace namespace={namespace} />
          {service}
        </span>
      )}
      <span class="tail">…{tailOf(id)}</span>
    </a>
  );
}
