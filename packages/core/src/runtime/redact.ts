/** Controls, format characters (they can turn text around), lone surrogates, line and paragraph separators. */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const MAX_TEXT = 400;

/**
 * A text of somebody else as it may be repeated: in one line, nothing in it steers a terminal, and it has at most `max` UTF-16 code units, an
 * ellipsis where it was cut.
 */
export function printableText(said: string, max = MAX_TEXT): string {
  return (said.length > max ? `${said.slice(0, max - 1)}…` : said).replaceAll(UNPRINTABLE, '?');
}

/**
 * A text as it may be repeated: of access tokens only their ids, of URLs neither user nor password. For what people typed in a wrong place;
 * other secrets look like nothing.
 */
export function redacted(text: string): string {
  return text.replaceAll(/(rct_[0-9a-f]{10}_)[A-Za-z0-9_-]+/g, '$1…').replaceAll(/:\/\/[^\s"]{1,1000}@/g, '://…@');
}
