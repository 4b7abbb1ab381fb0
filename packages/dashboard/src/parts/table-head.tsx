import type { VNode } from 'preact';

/**
 * The head of a table: names of columns. A name that begins with `>` is right-aligned, as figures are; the text after
 * an `@` is the class of its cells, such as `w9`, which hides the column in panels narrower than 900 px.
 */
export function TableHead({ columns }: { readonly columns: readonly string[] }): VNode {
  return (
    <thead>
      <tr>
        {columns.map((column) => {
          const [name = '', only = ''] = column.replace(/^>/, '').split('@');
          return (
            <th key={name} scope="col" class={column.startsWith('>') ? `right ${only}` : only}>
              {name}
            </th>
          );
        })}
      </tr>
    </thead>
  );
}
