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
    const update = (): void => void (height.value = query.matches ? CARD_PX : ROW_PX);
    query.addEventListener('change', update);
    return () => query.removeEventListener('change', update);
  }, []);
  return height.value;
}

/** Rows that are drawn beyond the edges of the screen, for the wheel and for `j`. */
const SPARE_ROWS = 12;

/**
 * The body of a table that contains only the visible rows: above and below them is empty space. It scrolls with the
 * page. Ten thousand rows cost as much as sixty.
 */
export function WindowedRows<Row>({ rows, row, box }: WindowedProps<Row>): VNode {
  const rowHeight = useRowHeight();
  const body = useRef<HTMLTableSectionElement>(null);
  const visible = useSignal({ from: 0, to: 60 });
  useEffect(() => {
    let frame = 0;
    const update = (): void => {
      frame = 0;
      if (body.current === null) return;
      const above = -body.current.getBoundingClientRect().top;
      // whole dozens: most scrolling changes nothing
      const from = Math.max(0, Math.floor(above / rowHeight / SPARE_ROWS) * SPARE_ROWS - SPARE_ROWS);
      const to = from + Math.ceil(window.innerHeight / rowHeight / SPARE_ROWS) * SPARE_ROWS + 3 * SPARE_ROWS;
      if (from !== visible.peek().from || to !== visible.peek().to) visible.value = { from, to };
    };
    const scheduleUpdate = (): void => {
      if (frame === 0) frame = requestAnimationFrame(update);
    };
    update();
    window.addEventListener('scroll', scheduleUpdate, { passive: true });
    window.addEventListener('resize', scheduleUpdate);
    return () => {
      cancelAnimationFrame(frame);
      window.removeEventListener('scroll', scheduleUpdate);
      window.removeEventListener('resize', scheduleUpdate);
    };
  }, [rowHeight]);
  const from = Math.min(visible.value.from, Math.max(0, rows.length - SPARE_ROWS));
  const to = Math.min(rows.length, visible.value.to);
  return (
    <tbody
      ref={(element: HTMLTableSectionElement | null) => {
        body.current = element;
        box.current = element;
      }}
    >
      {from > 0 && <Spacer px={from * rowHeight} />}
      {rows.slice(from, to).map((item, index) => row(item, from + index))}
      {to < rows.length && <Spacer px={(rows.length - to) * rowHeight} />}
    </tbody>
  );
}

function Spacer({ px }: { readonly px: number }): VNode {
  return (
    <tr class="room" aria-hidden="true" style={{ height: `${px}px` }}>
      <td />
    </tr>
  );
}
