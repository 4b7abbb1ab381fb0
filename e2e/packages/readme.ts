import { readFileSync } from 'node:fs';

export const README = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');

/** What an editor imports when a block is pasted into a file. */
const HOMES: Readonly<Record<string, readonly string[]>> = {
  '@nestjs/common': ['Controller', 'Get', 'Inject', 'Module', 'Param'],
  '@nestjs/core': ['NestFactory'],
  '@nestjs/microservices': ['MessagePattern', 'MicroserviceOptions', 'Transport'],
  '@rollcall/nestjs': [
    'Hedge',
    'Idempotent',
    'InjectService',
    'Rollcall',
    'RollcallModule',
    'ServiceClient',
    'Timeout',
  ],
};

/** The one code block of the README, word for word, that contains these words. */
export function blockWith(words: string): string {
  const blocks = [...README.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, block = '']) => block);
  const [found, ...others] = blocks.filter((block) => block.includes(words));
  if (found !== undefined && others.length === 0) return found;
  throw new Error(
    `README.md has ${found ? 'several code blocks' : 'no code block'} with "${words}"; the test needs one.`,
  );
}

/** A file with this text and the imports it needs. */
export function withImports(text: string): string {
  const lines = Object.entries(HOMES).flatMap(([home, names]) => {
    const used = names.filter((name) => new RegExp(`\\b${name}\\b`).test(text));
    return used.length === 0 ? [] : [`import { ${used.join(', ')} } from '${home}';`];
  });
  return [...lines, '', text].join('\n');
}
