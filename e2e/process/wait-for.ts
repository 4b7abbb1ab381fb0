const POLL_INTERVAL_MS = 10;

type CheckResult<Found> = Found | null | false | undefined;

/** Resolves as soon as `check` returns neither null nor false; rejects after `timeoutMs` with `what` it waited for. */
export async function waitFor<Found>(
  what: string,
  check: () => CheckResult<Found> | Promise<CheckResult<Found>>,
  timeoutMs = 20_000,
): Promise<Found> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found !== null && found !== false && found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`After ${timeoutMs} ms still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}
