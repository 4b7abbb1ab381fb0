import type { IncomingMessage } from 'node:http';

/** The longest answer to a request, in bytes; the largest real one, to a registration, is far smaller. */
export const MAX_ANSWER_BYTES = 1024 * 1024;

/** Calls `done` once with the whole text of an answer; with null if it was cut off or is longer than `maxBytes`. */
export function collect(response: IncomingMessage, maxBytes: number, done: (text: string | null) => void): void {
  const chunks: Uint8Array[] = [];
  let size = 0;
  response.on('data', (bytes: Uint8Array) => {
    size += bytes.length;
    if (size > maxBytes) done(null);
    else chunks.push(bytes);
  });
  response.on('end', () => done(Buffer.concat(chunks).toString('utf8')));
  response.on('error', () => done(null));
}

/** Parses JSON; undefined if the text is not JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
