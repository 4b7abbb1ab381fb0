import { expect, it } from 'vitest';
import { attack } from '../fuzz/wire.js';

/** ROLLCALL_WIRE_SEED repeats the bytes of a run that failed. */
const seed = Number(process.env['ROLLCALL_WIRE_SEED'] ?? 1 + Math.floor(Math.random() * 1e9));

it(`attackers at every port harm no honest instance, leave nothing open and fill no memory (ROLLCALL_WIRE_SEED=${seed})`, async () => {
  const report = await attack({ seconds: 4, seed });
  console.log(JSON.stringify(report));
  expect(report.problems).toEqual([]);
  expect(report.leftOpenCount).toBe(0);
  expect(report.connections).toBeGreaterThan(100);
  // the record of events is bounded; how much other garbage is not yet collected depends on the machine
  expect(report.grownMiB).toBeLessThan(96);
}, 120_000);
