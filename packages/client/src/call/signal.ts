import { defaultMaxListeners, getMaxListeners, setMaxListeners } from 'node:events';
import type { Call } from './call.js';

/** Listens to the signal as long as the call goes on. False if it was aborted before. */
export function heed<Request>(signal: AbortSignal, call: Call<Request>): boolean {
  if (signal.aborted) return false;
  const abort = (): void => call.cancel(signal.reason);
  allowMany(signal);
  signal.addEventListener('abort', abort, { once: true });
  call.onEnd = () => signal.removeEventListener('abort', abort);
  return true;
}

/** The calls of one request share its signal, as many as there are: Node would warn of a leak from the 11th on. */
function allowMany(signal: AbortSignal): void {
  try {
    if (getMaxListeners(signal) === defaultMaxListeners) setMaxListeners(0, signal);
  } catch {
    // one of another make, which counts nothing
  }
}
