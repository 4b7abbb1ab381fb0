import { expect, it } from 'vitest';
import { clockText } from '../text/age.js';
import { arrivalText } from './arrival.js';

it('prints the progress, as far as it is known', () => {
  expect(arrivalText({ received: 0, total: null }, null)).toBe('Calling the roll …');
  expect(arrivalText({ received: 68, total: 200 }, null)).toBe('Calling the roll: 68 of 200 services …');
  expect(arrivalText({ received: 0, total: 1_200 }, null)).toBe('Calling the roll: 0 of 1,200 services …');
  expect(arrivalText({ received: 68, total: null }, null)).toBe('Calling the roll: 68 services …');
});

it('uses the past tense if the view is old', () => {
  const at = clockText(5_000);
  expect(arrivalText({ received: 0, total: null }, 5_000)).toBe(
    `The view was not whole at ${at}: nothing had arrived.`,
  );
  expect(arrivalText({ received: 68, total: 200 }, 5_000)).toBe(
    `The view was not whole at ${at}: 68 of 200 services had arrived.`,
  );
});
