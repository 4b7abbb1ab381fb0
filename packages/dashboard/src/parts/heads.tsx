import type { VNode } from 'preact';

/** The head of a table: names of columns; those that begin with `>` stand at the right, as figures do. */
export function Heads({ of }: { readonly of: readonly string[] }): VNode {
  return (
    <thead>
      <tr>
        {of.map((name) => (
          <th key={name} scope="col" class={name.startsWith('>') ? 'right' : ''}>
            {name.replace(/^>/, '')}
          </th>
        ))}
      </tr>
    </thead>
  );
}
