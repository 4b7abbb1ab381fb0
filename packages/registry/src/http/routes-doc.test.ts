import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { PERMISSIONS } from '../access/permissions.js';
import { startTestRegistry } from '../testing.js';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
/** A route in the notation of the documents. */
const named = (method: string, path: string): string => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`;
const ROUTES = PERMISSIONS.map(({ method, path }) => named(method, path));
/** Pages for browsers, which are not part of the described API. */
const PAGES = ['GET /', 'GET /assets/*'];
/** Routes that are not of the registry but of services, and of applications in examples. */
const ELSEWHERE = /\/\.well-known\/rollcall\/|\/orders$/;

it('describes the routes of the permission table in the OpenAPI document, and no others', async () => {
  const registry = await startTestRegistry();
  const answer = await fetch(`${registry.url}/openapi.json`);
  await registry.close();
  const { paths } = (await answer.json()) as { paths: Record<string, object> };
  const described = Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.toSorted()).toEqual(ROUTES.filter((route) => !PAGES.includes(route)).toSorted());
});

it('finds only existing routes in the documents, and every route in docs/PROTOCOL.md', () => {
  const files = ['docs', 'docs/guide'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `${folder}/${name}`),
  );
  const mentions = [...files, 'README.md', 'SECURITY.md', 'ARCHITECTURE.md'].flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/`((?:GET|POST|PUT|PATCH|DELETE) \/[^`\s?]*)[^`]*`/g)].map(
      ([, route = '']) => ({ page, route }),
    ),
  );
  const unknown = mentions.filter(({ route }) => !ROUTES.includes(route) && !ELSEWHERE.test(route));
  expect(unknown).toEqual([]);
  const inProtocol = new Set(mentions.filter(({ page }) => page === 'docs/PROTOCOL.md').map(({ route }) => route));
  expect(ROUTES.filter((route) => !inProtocol.has(route))).toEqual([]);
});
