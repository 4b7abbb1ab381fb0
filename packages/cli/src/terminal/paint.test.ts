import { describe, expect, it } from 'vitest';
import { paint } from './paint.js';
import type { Look } from './paint.js';
import { terminalOf } from './shell.js';

const STATE_LOOKS: readonly Look[] = ['healthy', 'unhealthy', 'critical', 'registering', 'leaving'];
const TERMINAL = { width: 80, isColoured: true, isUnicode: true };

/** The intensity of one of the six steps of a colour in the cube. */
const level = (part: number): number => (part === 0 ? 0 : 55 + 40 * part);

/** The colour of a painted text, of the 256 of xterm; these are the same in every theme. */
function colourOf(look: Look): readonly number[] {
  const line = paint([{ text: 'UNHEALTHY', look }], TERMINAL);
  // eslint-disable-next-line no-control-regex
  const number = Number(/\u001b\[[\d;]*38;5;(\d+)m/.exec(line)?.[1] ?? Number.NaN) - 16;
  expect(number, `${look} has a colour of the cube`).toBeGreaterThanOrEqual(0);
  return [Math.floor(number / 36), Math.floor(number / 6) % 6, number % 6].map(level);
}

/** The relative luminance of WCAG 2. */
function luminance(colour: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(first: readonly number[], second: readonly number[]): number {
  const [light = 0, dark = 0] = [luminance(first), luminance(second)].toSorted((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

describe('the colour of a state', () => {
  it.each(STATE_LOOKS)('stays readable for %s on a light terminal and on a dark one', (look) => {
    expect(contrast(colourOf(look), [255, 255, 255])).toBeGreaterThanOrEqual(4.5);
    expect(contrast(colourOf(look), [0, 0, 0])).toBeGreaterThanOrEqual(3.8);
    // bold text needs 3 only
    expect(contrast(colourOf(look), [30, 30, 30])).toBeGreaterThanOrEqual(3);
  });

  it('differs from that of every other state', () => {
    expect(new Set(STATE_LOOKS.map((look) => colourOf(look).join())).size).toBe(STATE_LOOKS.length);
  });
});

describe('NO_COLOR', () => {
  const output = { isTTY: true, columns: 80 };

  it('removes every escape, also with FORCE_COLOR', () => {
    for (const env of [{ NO_COLOR: '1' }, { NO_COLOR: '1', FORCE_COLOR: '1' }, { TERM: 'dumb' }]) {
      const terminal = terminalOf(output, env);
      for (const look of [...STATE_LOOKS, 'strong', 'faint'] as const) {
        expect(paint([{ text: 'UNHEALTHY', look }], terminal)).toBe('UNHEALTHY');
      }
    }
    expect(paint([{ text: 'UNHEALTHY', look: 'unhealthy' }], terminalOf(output, {}))).toContain('\u001b[');
  });
});
