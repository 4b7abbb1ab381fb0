import { option } from '@rollcall/core';
import { valued } from './arguments.js';

/** For commands that tell people something, or a program the same. */
export const OUTPUT_FLAG = {
  '--output': valued(
    option.oneOf(['text', 'json'], { doc: 'text | json; default text', default: 'text' }),
    '<format>',
    'o',
  ),
};
