/** Control characters, format characters (they can reverse text), lone surrogates, line and paragraph separators. */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const MAX_TEXT = 400;

/**
 * Makes untrusted text safe to print: one line, no terminal control sequences, at most `max` UTF-16 code units (default 400), with an
 * ellipsis if it was truncated.
 */
export function printableText(untrusted: string, max = MAX_TEXT): string {
  return (untrusted.length > max ? `${untrusted.slice(0, max - 1)}…` : untrusted).replaceAll(UNPRINTABLE, '?');
}

/**
 * The text without secrets: access tokens keep only their id, URLs lose user and password. It is for secrets that were typed in the wrong
 * place; it cannot recognise other secrets.
 */
export function redacted(text: string): string {
  return text.replaceAll(/(rct_[0-9a-f]{10}_)[A-Za-z0-9_-]+/g, '$1…').replaceAll(/:\/\/[^\s"]{1,1000}@/g, '://…@');
}
