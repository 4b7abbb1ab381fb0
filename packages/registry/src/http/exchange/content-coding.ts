/**
 * The encoding of an answer: none, or gzip (RFC 1952), which every browser and HTTP library that requests it can read.
 */
export type ContentCoding = 'identity' | 'gzip';

/** Minimum length of an encoded answer, bytes: a shorter one fits one packet anyway. */
export const MIN_CODED_BYTES = 1_024;

/**
 * The coding that `Accept-Encoding` requests. Without the header nothing is encoded, though the RFC would allow it. `*`
 * alone does not request gzip.
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
