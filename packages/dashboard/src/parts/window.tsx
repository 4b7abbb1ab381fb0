import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { VNode } from 'preact';

interface WindowedProps<Row> {
  readonly rows: readonly Row[];
  readonly row: (row: Row, at: number) => VNode;
  /** Gets the body: see `useSteady`. */
  readonly box: { current: HTMLElement | null };
}

/** px; must equal `.one-height` of the style sheet. */
const ROW_PX = 35;
const CARD_PX = 76;
const NARROW = '(max-width: 720px)';

/** The height of a row; on narrow screens a row is a card. */
function useRowHeight(): number {
  const height = useSignal(window.matchMedia(NARROW).matches ? CARD_PX : ROW_PX);
  useEffect(() => {
    const query = window.matchMedia(NARROW);
    const look = (): void => void (height.value = query.matches ? CARD_PX : ROW_PX);
    query.addEventListener('change', look);
    return () => query.removeEventListener('change', look);
  }, []);
  return height.value;
}

/** Rows that are drawn beyond the edges of the screen, so that neither a wheel nor `j` meets a gap. */
const SPARE = 12;

/**
 * The body of a table that contains only the visible rows: above and below them is empty space. It scrolls with the
 * page. Ten thousand rows cost as much as sixty.
 */
export function WindowedRows<Row>({ rows, row, box }: WindowedProps<Row>): VNode {
  const rowHeight = useRowHeight();
  const body = useRef<HTMLTableSectionElement>(null);
  const seen = useSignal({ from: 0, to: 60 });
  useEffect(() => {
    let frame = 0;
    const look = (): void => {
      frame = 0;
      if (body.current === null) return;
      const above = -body.current.getBoundingClientRect().top;
      // whole dozens: most scrolling changes nothing
      const from = Math.max(0, Math.floor(above / rowHeight / SPARE) * SPARE - SPARE);
      const to = from + Math.ceil(window.innerHeight / rowHeight / SPARE) * SPARE + 3 * SPARE;
      if (from !== seen.peek().from || to !== seen.peek().to) seen.value = { from, to };
    };
    const lookSoon = (): void => {
      if (frame === 0) frame = requestAnimationFrame(look);
    };
    look();
    window.addEventListener('scroll', lookSoon, { passive: true });
    window.addEventListener('resize', lookSoon);
    return () => {
      cancelAnimationFrame(frame);
      window.removeEventListener('scroll', lookSoon);
      window.removeEventListener('resize', lookSoon);
    };
  }, [rowHeight]);
  const from = Math.min(seen.value.from, Math.max(0, rows.length - SPARE));
  const to = Math.min(rows.length, seen.value.to);
  return (
    <tbody
      ref={(element: HTMLTableSectionElement | null) => {
        body.current = element;
        box.current = element;
      }}
    >
      {from > 0 && <Room px={from * rowHeight} />}
      {rows.slice(from, to).map((one, index) => row(one, from + index))}
      {to < rows.length && <Room px={(rows.length - to) * rowHeight} />}
    </tbody>
  );
}

function Room({ px }: { readonly px: number }): VNode {
  return (
    <tr class="room" aria-hidden="true" style={{ height: `${px}px` }}>
      <td />
    </tr>
  );
}
