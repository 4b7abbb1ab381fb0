import { useEffect } from 'preact/hooks';
import type { ComponentChildren, VNode } from 'preact';

interface PanelProps {
  readonly title: ComponentChildren;
  /** The count beside the title. */
  readonly count?: ComponentChildren;
  /** At the right end of the header. */
  readonly aside?: ComponentChildren;
  readonly class?: string;
  readonly children: ComponentChildren;
}

/** A titled box. */
export function Panel({ title, count, aside, children, ...rest }: PanelProps): VNode {
  return (
    <section class={`panel ${rest.class ?? ''}`}>
      <header>
        <h2>{title}</h2>
        {count !== undefined && <span class="faint small">{count}</span>}
        {aside !== undefined && <span class="aside">{aside}</span>}
      </header>
      {children}
    </section>
  );
}

/** Names and values, one pair per line. */
export function Facts({ rows }: { readonly rows: readonly (readonly [string, ComponentChildren])[] }): VNode {
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface HeadProps {
  readonly verdict: ComponentChildren;
  /** The title of the window; default: the verdict, if it is text. */
  readonly title?: string;
  readonly sentence: ComponentChildren;
  readonly crumbs?: ComponentChildren;
  /** Actions or counters, at the right. */
  readonly children?: ComponentChildren;
}

/** The top of every screen: a verdict, and the affected callers. Changes are announced by `Announcer`, not by this. */
export function Head({ verdict, title, sentence, crumbs, children }: HeadProps): VNode {
  const name = title ?? (typeof verdict === 'string' ? verdict : '');
  useEffect(() => {
    document.title = name === '' ? 'Rollcall' : `${name} – Rollcall`;
  }, [name]);
  return (
    <div class="head">
      <div class="head-text">
        {crumbs !== undefined && <p class="crumbs">{crumbs}</p>}
        <h1>{verdict}</h1>
        <p class="sentence">{sentence}</p>
      </div>
      {children}
    </div>
  );
}
