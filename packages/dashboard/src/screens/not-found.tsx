import type { VNode } from 'preact';
import { hashOf } from '../model/view/route.js';
import { Head } from '../parts/panel.js';

/** An address that leads to nothing. */
export function NotFound({ path }: { readonly path: string }): VNode {
  return (
    <Head
      verdict="There is no such page."
      sentence={
        <>
          <span class="mono">{path}</span> leads nowhere. <a href={hashOf('overview')}>To the overview</a>
        </>
      }
    />
  );
}
