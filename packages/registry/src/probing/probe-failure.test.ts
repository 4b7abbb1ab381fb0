import { expect, it } from 'vitest';
import { joinFaults } from './probe-failure.js';

it('joins failures on one line, without terminal control or bidirectional characters', () => {
  const faults = ['name \u202Egpj.exe\u2066', 'one\ntwo\u2028three \u001B[31m', 'Ünïcode 🧀'];
  expect(joinFaults(faults)).toBe('name ?gpj.exe?; one?two?three ?[31m; Ünïcode 🧀');
});

it('truncates long failures', () => {
  expect(joinFaults(['x'.repeat(600), 'y'.repeat(600)])).toMatch(/^x{600}; y{397}…$/);
});
