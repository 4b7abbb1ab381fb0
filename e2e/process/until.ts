const LOOK_EVERY_MS = 10;

type Looked<Found> = Found | null | false | undefined;

/** Resolves as soon as `look` returns neither null nor false; rejects after `timeoutMs` with `what` it waited for. */
export async function until<Found>(
  what: string,
  look: () => Looked<Found> | Promise<Looked<Found>>,
  timeoutMs = 20_000,
): Promise<Found> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== null && found !== false && found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`After ${timeoutMs} ms still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
