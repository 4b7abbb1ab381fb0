/** `npm test` sets it: tests in several variants run in one or two of them. `npm run test:all` and `npm run e2e` run all. */
export const isShort: boolean = process.env['SHORT'] === '1';

/** All variants of a test, or only those named in `short` where `npm test` runs it. Each name must be that of a variant. */
export function variants<Variant>(
  all: readonly Variant[],
  nameOf: (variant: Variant) => string,
  short: readonly string[],
): readonly Variant[] {
  const some = all.filter((variant) => short.includes(nameOf(variant)));
  if (some.length !== short.length) throw new Error(`Not each of ${short.join(', ')} is a variant of this test.`);
  return isShort ? some : all;
}
