import { printableText } from '@rollcall/core';

/** Of the words of another, UTF-16 code units. */
const MOST_SAID = 300;

/** The words of another program as they stand in ours: printable, and cut with an ellipsis where they are long. */
export const said = (text: string, most: number = MOST_SAID): string => printableText(text, most);
