/**
 * A text as it may be repeated: of access tokens only their ids, of URLs neither user nor password. For what people typed in a wrong place;
 * other secrets look like nothing.
 */
export function redacted(text: string): string {
  return text.replaceAll(/(rct_[0-9a-f]{10}_)[A-Za-z0-9_-]+/g, '$1…').replaceAll(/:\/\/[^\s"]{1,1000}@/g, '://…@');
}
