import { describe, expect, it } from 'vitest';
import { ReopenBudget } from './reopen-budget.js';

describe('ReopenBudget', () => {
  it('allows a burst, then eight a second', () => {
    const reopenings = new ReopenBudget();
    let atOnce = 0;
    while (reopenings.take(1_000) === 0) atOnce += 1;
    expect(atOnce).toBe(32);
    let now = 1_000;
    for (let i = 0; i < 80; i += 1) {
      now += reopenings.take(now);
      expect(reopenings.take(now)).toBe(0);
    }
    expect(now).toBe(11_000);
  });

  it('allows a burst again after a pause', () => {
    const reopenings = new ReopenBudget();
    for (let i = 0; i < 100; i += 1) reopenings.take(0);
    expect(reopenings.take(0)).toBeGreaterThan(0);
    for (let i = 0; i < 32; i += 1) expect(reopenings.take(4_000)).toBe(0);
  });
});
