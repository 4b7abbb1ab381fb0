import { expect, it } from 'vitest';
import { lineOf } from './probe-failure.js';

it('what went wrong in a call is told on one line, and nothing in it steers a terminal or turns the text around', () => {
  const said = ['name \u202Egpj.exe\u2066', 'one\ntwo\u2028three \u001B[31m', 'Ünïcode 🧀'];
  expect(lineOf(said)).toBe('name ?gpj.exe?; one?two?three ?[31m; Ünïcode 🧀');
});

it('and is cut where it is long', () => {
  expect(lineOf(['x'.repeat(600), 'y'.repeat(600)])).toMatch(/^x{600}; y{397}…$/);
});
