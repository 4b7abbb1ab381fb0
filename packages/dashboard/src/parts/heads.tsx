import type { VNode } from 'preact';

/**
 * The head of a table: names of columns. One that begins with `>` stands at the right, as figures do; what follows an `@` is the class of
 * its cells, such as `w9`, which leaves the column out of panels that are narrower than 900 px.
 */
export function Heads({ of }: { readonly of: readonly string[] }): VNode {
  return (
    <thead>
      <tr>
        {of.map((words) => {
          const [name = '', only = ''] = words.replace(/^>/, '').split('@');
          return (
            <th key={name} scope="col" class={words.startsWith('>') ? `right ${only}` : only}>
              {name}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}
