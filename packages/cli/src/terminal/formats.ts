import { option } from '@rollcall/core';
import { valued } from './arguments.js';

/** The flag of commands whose output is text or JSON. */
export const OUTPUT_FLAG = {
  '--output': valued(
    option.oneOf(['text', 'json'], { doc: 'text | json; default text', default: 'text' }),
    '<format>',
    'o',
  ),
};
