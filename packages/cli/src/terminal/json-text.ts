/**
 * A value as JSON in which nothing can steer a terminal: `JSON.stringify` leaves what is not ASCII as it is, the other control characters
 * and those that turn the direction of a line among it. Undefined is `null`.
 */
export function jsonText(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent) ?? 'null';
  return text.replaceAll(/[\x7f-\x9f\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
}

function escaped(character: string): string {
  return character
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');
}
