/** How an answer travels: as it is, or as gzip (RFC 1952), which every browser and every HTTP library that asks for it reads. */
export type ContentCoding = 'identity' | 'gzip';

/** Below this an answer fits one packet anyway, bytes. */
export const LEAST_CODED = 1_024;

/**
 * What a request's `Accept-Encoding` asks for. A request without the header gets what it always got: nothing is encoded for it, though the
 * RFC would allow it. `*` alone does not ask for gzip.
 */
export function codingOf(accept: string | undefined): ContentCoding {
  for (const part of (accept ?? '').split(',')) {
    const [name = '', ...parameters] = part.split(';').map((word) => word.trim().toLowerCase());
    if (name !== 'gzip') continue;
    const quality = parameters.find((word) => word.startsWith('q='))?.slice(2) ?? '1';
    return Number(quality) > 0 ? 'gzip' : 'identity';
  }
  return 'identity';
}
