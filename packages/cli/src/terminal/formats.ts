import { option } from '@rollcall/core';
import { valued } from './arguments.js';

/** For commands with output for people or for programs. */
export const OUTPUT_FLAG = {
  '--output': valued(
    option.oneOf(['text', 'json'], { doc: 'text | json; default text', default: 'text' }),
    '<format>',
    'o',
  ),
};
