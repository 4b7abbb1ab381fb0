import type { IncomingMessage } from 'node:http';

/** The maximum size of an answer, in bytes; the largest real answer, to a registration, is far smaller. */
export const MAX_ANSWER_BYTES = 1024 * 1024;

/** Calls `done` once with the complete text of an answer, or with null if it was truncated or is longer than `maxBytes`. */
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
