import { defaultMaxListeners, getMaxListeners, setMaxListeners } from 'node:events';
import type { Call } from './call.js';

/** Cancels the call when the signal aborts. Returns false if the signal is already aborted. */
export function cancelOnAbort<Request>(signal: AbortSignal, call: Call<Request>): boolean {
  if (signal.aborted) return false;
  const abort = (): void => call.cancel(signal.reason);
  allowMany(signal);
  signal.addEventListener('abort', abort, { once: true });
  call.onEnd = () => signal.removeEventListener('abort', abort);
  return true;
}

/** Raises the listener limit: the calls of one request share its signal, and Node warns of a leak from the 11th on. */
function allowMany(signal: AbortSignal): void {
  try {
    if (getMaxListeners(signal) === defaultMaxListeners) setMaxListeners(0, signal);
  } catch {
    // another implementation of AbortSignal, which counts no listeners
  }
}
