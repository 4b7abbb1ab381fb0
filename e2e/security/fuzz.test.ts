import * as fc from 'fast-check';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { FrameDecoder } from '@rollcall/core';
import { inputs } from '../fuzz/inputs.js';
import { bytesOf, piecesOf, examine, assertEqual } from '../fuzz/target.js';
import type { Target } from '../fuzz/target.js';
import { TARGETS } from '../fuzz/targets.js';

const REGRESSIONS = fileURLToPath(new URL('../fuzz/regressions', import.meta.url));
/** Per target: enough to find shallow bugs at once. `npm run fuzz` runs longer, guided by coverage. */
const MAX_RUNS = 3_000;
const MAX_MS = 450;

const search = (target: Target) =>
  fc.assert(
    fc.asyncProperty(inputs(target), async (bytes) => examine(target, bytes)),
    { numRuns: MAX_RUNS, interruptAfterTimeLimit: MAX_MS, includeErrorInReport: true },
  );

describe.each(TARGETS.map((target) => [target.name, target] as const))('%s', (name, target) => {
  it('reads its own examples, and every past finding', async () => {
    for (const seed of target.seeds) await examine(target, bytesOf(seed));
    const folder = join(REGRESSIONS, name);
    for (const file of existsSync(folder) ? readdirSync(folder) : []) {
      await examine(target, readFileSync(join(folder, file)));
    }
  });

  it('keeps its rules for any bytes', () => search(target));
});

const createTarget = (run: Target['run']): Target => ({ name: 'broken', about: '', seeds: ['12#"abcdefghij"'], run });
const readSeparately = (pieces: readonly Uint8Array[]): unknown[] =>
  pieces.flatMap((piece) => new FrameDecoder().push(piece).frames);

describe('the rules for all targets', () => {
  it('detect a changed prototype', async () => {
    const pollute = createTarget(() => void Reflect.set(Object.prototype, 'polluted', 1));
    try {
      await expect(async () => examine(pollute, new Uint8Array())).rejects.toThrow('a prototype has changed');
    } finally {
      Reflect.deleteProperty(Object.prototype, 'polluted');
    }
  });

  it('detect work that grows with the square of the input', async () => {
    const quadratic = createTarget((bytes) => {
      const before = process.cpuUsage();
      while (process.cpuUsage(before).user < bytes.length ** 2 / 10);
    });
    await examine(quadratic, new Uint8Array(150));
    await expect(async () => examine(quadratic, new Uint8Array(1_100))).rejects.toThrow(/1100 bytes take/);
  });

  it('detect a decoder that treats each chunk separately', async () => {
    const forgetful = createTarget((bytes) => {
      for (const pieces of piecesOf(bytes)) assertEqual(readSeparately(pieces), readSeparately([bytes]), 'cuts count');
    });
    await expect(search(forgetful)).rejects.toThrow(/cuts count/);
  });
});
