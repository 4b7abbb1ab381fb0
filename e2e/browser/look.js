// Runs in the page, as text that `layout.ts` puts into a function: no imports, no TypeScript. `look()` returns the
// flaws in the layout of the page as drawn now:
// - the document, or an element, is wider than its container, and is not meant to scroll (`pre` and the graph are);
// - text is clipped without an ellipsis, or with one and without the whole text in a `title` of it or around it;
// - two texts, or two clickable elements, overlap (fixed or sticky elements are compared with their own contents only).

function nameOf(one) {
  const classes = typeof one.className === 'string' ? one.className.trim().replaceAll(/\s+/g, '.') : '';
  const text = (one.textContent ?? '').trim().slice(0, 40);
  return `${one.tagName.toLowerCase()}${classes === '' ? '' : `.${classes}`} "${text}"`;
}

/** For screen readers, or not shown yet. */
const isUnseen = (one) => one.closest('.visually-hidden, .skip, .notice:not(.shown)') !== null;

/** By how much the content of an element exceeds it; null: nothing relevant. */
function roomFlaw(one) {
  // the doors of the heartbeat picture stand across the border on purpose
  // … and what is found is wider than the field; what is typed into a field scrolls
  if (one.matches('.end, .door, .search, input') || one.clientWidth === 0 || one.scrollWidth <= one.clientWidth + 1)
    return null;
  const { overflowX, textOverflow } = getComputedStyle(one);
  const over = `${one.scrollWidth - one.clientWidth} px`;
  if (overflowX === 'auto' || overflowX === 'scroll') {
    return one.matches('pre, .topology') ? null : `${nameOf(one)} scrolls by ${over}`;
  }
  if (overflowX === 'visible') return `${nameOf(one)} holds ${over} more than it has room for`;
  const goesOn = one.nextElementSibling?.textContent?.startsWith('…') === true;
  if (textOverflow !== 'ellipsis' && !goesOn) return `${nameOf(one)} clips ${over} without an ellipsis`;
  const title = one.closest('[title]')?.getAttribute('title') ?? '';
  if (title.length >= (one.textContent ?? '').trim().length) return null;
  return `${nameOf(one)} is cut and has no title with the whole`;
}

/** The nearest ancestor that does not move with the page; null: none. */
function layerOf(from) {
  for (let one = from; one !== null; one = one.parentElement) {
    const { position } = getComputedStyle(one);
    if (position === 'fixed' || position === 'sticky') return one;
  }
  return null;
}

/** The part of the rectangle that is not clipped; null: none. */
function clipped(from, rect) {
  let { left, top, right, bottom } = rect;
  for (let one = from; one !== null; one = one.parentElement) {
    if (getComputedStyle(one).overflowX === 'visible') continue;
    const room = one.getBoundingClientRect();
    left = Math.max(left, room.left);
    right = Math.min(right, room.right);
    top = Math.max(top, room.top);
    bottom = Math.min(bottom, room.bottom);
  }
  return { left, top, right, bottom };
}

/** The lines of its own text, and its box if it is clickable. */
function boxesOf(one) {
  const rects = one.matches('button, input, select') ? [one.getBoundingClientRect()] : [];
  for (const node of one.matches('select, option') ? [] : one.childNodes) {
    if (node.nodeType !== Node.TEXT_NODE || (node.textContent ?? '').trim() === '') continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    rects.push(...range.getClientRects());
  }
  return rects
    .map((rect) => ({ of: one, layer: layerOf(one), ...clipped(one, rect) }))
    .filter(({ left, top, right, bottom }) => right - left > 2 && bottom - top > 2);
}

function overlapsOf(boxes) {
  const flaws = [];
  const sorted = boxes.toSorted((one, other) => one.top - other.top);
  for (const [at, one] of sorted.entries()) {
    for (const other of sorted.slice(at + 1)) {
      if (other.top >= one.bottom - 2) break;
      if (one.layer !== other.layer || one.of.contains(other.of) || other.of.contains(one.of)) continue;
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - other.top;
      // lines of text stand closer than their glyphs are high
      if (across > 2 && down > 4) flaws.push(`${nameOf(one.of)} lies over ${nameOf(other.of)}`);
    }
  }
  return flaws;
}

// oxlint-disable-next-line no-unused-vars -- called by the text that `layout.ts` puts around this
function look() {
  const spare = document.documentElement.scrollWidth - window.innerWidth;
  const shown = [...document.querySelectorAll('body *')].filter(
    (one) => one.closest('svg') === null && !isUnseen(one) && one.checkVisibility({ visibilityProperty: true }),
  );
  const rooms = shown.map(roomFlaw).filter((flaw) => flaw !== null);
  const flaws = [...rooms, ...overlapsOf(shown.flatMap(boxesOf))];
  return [...new Set(spare > 0 ? [`the document is ${spare} px too wide`, ...flaws] : flaws)];
}
