/**
 * Runs in the page, so it is one function without imports, and no TypeScript. Returns what is wrong with the layout of what is drawn now:
 * - the document, or an element, is wider than its room, and the element is no scroller that is meant to be one (`pre`, the graph);
 * - text is clipped without an ellipsis, or with one and without the whole text in a `title` of it or of an element around it;
 * - two texts, or two things to click, lie over each other (what is fixed or sticky is compared with its like only).
 */
function look() {
  const flaws = [];
  const nameOf = (one) => {
    const classes = typeof one.className === 'string' ? one.className.trim().replace(/\s+/g, '.') : '';
    return `${one.tagName.toLowerCase()}${classes === '' ? '' : `.${classes}`} "${(one.textContent ?? '').trim().slice(0, 40)}"`;
  };
  const isHeard = (one) => one.closest('.heard, .skip, .notice:not(.shown)') !== null;
  const spare = document.documentElement.scrollWidth - window.innerWidth;
  if (spare > 0) flaws.push(`the document is ${spare} px too wide`);

  const checkRoom = (one) => {
    // the doors of the heartbeat picture stand across the border on purpose
    if (one.matches('.end, .door')) return;
    if (one.clientWidth === 0 || one.scrollWidth <= one.clientWidth + 1) return;
    const style = getComputedStyle(one);
    const over = `${one.scrollWidth - one.clientWidth} px`;
    if (style.overflowX === 'auto' || style.overflowX === 'scroll') {
      if (!one.matches('pre, .topology')) flaws.push(`${nameOf(one)} scrolls by ${over}`);
    } else if (style.overflowX === 'visible') {
      // inside something that clips or scrolls, that one is told of
      flaws.push(`${nameOf(one)} holds ${over} more than it has room for`);
    } else if (style.textOverflow !== 'ellipsis') {
      flaws.push(`${nameOf(one)} clips ${over} without an ellipsis`);
    } else if ((one.closest('[title]')?.getAttribute('title') ?? '').length < (one.textContent ?? '').trim().length) {
      flaws.push(`${nameOf(one)} ends in an ellipsis and has no title with the whole`);
    }
  };

  const layerOf = (from) => {
    for (let one = from; one !== null; one = one.parentElement) {
      const { position } = getComputedStyle(one);
      if (position === 'fixed' || position === 'sticky') return one;
    }
    return null;
  };
  const clipped = (from, rect) => {
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
  };
  const boxes = [];
  const addBox = (of, rect) => {
    const box = { of, layer: layerOf(of), ...clipped(of, rect) };
    if (box.right - box.left > 2 && box.bottom - box.top > 2) boxes.push(box);
  };
  for (const one of document.querySelectorAll('body *')) {
    if (one.closest('svg') !== null || isHeard(one) || !one.checkVisibility({ visibilityProperty: true })) continue;
    checkRoom(one);
    if (one.closest('option, select') !== null && one.tagName !== 'SELECT') continue;
    if (one.matches('button, input, select')) addBox(one, one.getBoundingClientRect());
    for (const node of one.childNodes) {
      if (node.nodeType !== Node.TEXT_NODE || (node.textContent ?? '').trim() === '' || one.matches('select')) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const rect of range.getClientRects()) addBox(one, rect);
    }
  }
  boxes.sort((one, other) => one.top - other.top);
  for (const [at, one] of boxes.entries()) {
    for (let next = at + 1; next < boxes.length; next += 1) {
      const other = boxes[next];
      if (other === undefined || other.top >= one.bottom - 2) break;
      if (one.layer !== other.layer || one.of.contains(other.of) || other.of.contains(one.of)) continue;
      const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const down = Math.min(one.bottom, other.bottom) - other.top;
      // lines of text stand closer than their glyphs are high
      if (across > 2 && down > 4) flaws.push(`${nameOf(one.of)} lies over ${nameOf(other.of)}`);
    }
  }
  return [...new Set(flaws)];
}
