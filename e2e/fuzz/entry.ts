import { bytesOf, examine } from './target.js';
import { TARGETS } from './targets.js';

const name = process.env['ROLLCALL_FUZZ_TARGET'];
const target = TARGETS.find((one) => one.name === name);
if (target === undefined) throw new Error(`ROLLCALL_FUZZ_TARGET names no target: ${name}`);

// loads everything that is created only once, so that no input's time includes it
for (const seed of target.seeds) await examine(target, bytesOf(seed));

/** The function that the fuzzer calls with each input. */
export function fuzz(bytes: Buffer): void | Promise<void> {
  return examine(target as NonNullable<typeof target>, bytes);
}
