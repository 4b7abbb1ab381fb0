import { expect, it } from 'vitest';
import { problemOf } from '../registry-client/registry-client.fixture.js';
import { refusalText } from './refusals.js';

it('logs a refusal with the fix, for any number of flaws', () => {
  const flaws = Array.from({ length: 10 }, (_, i) => ({
    path: `tags[${i}]`,
    received: 'r'.repeat(100),
    allowed: 'a\n'.repeat(200),
  }));
  const text = refusalText('orders-1', { ...problemOf('INVALID'), flaws });
  expect(text).toMatch(/^The registry refuses orders-1: It is INVALID\. tags\[0\]: received r{100}, allowed is a\?/);
  expect(text).toMatch(/… Do something\.$/);
  expect(text.length).toBeLessThan(1_300);
});
