import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { VERSION } from './version.js';

const packages = fileURLToPath(new URL('../../../', import.meta.url));

it.each(readdirSync(packages))('VERSION is the version of packages/%s', (name) => {
  const { version } = JSON.parse(readFileSync(`${packages}${name}/package.json`, 'utf8')) as { version: string };
  expect(version).toBe(VERSION);
});
