import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { memoryMeter, tableHead, withGenerated } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { Rollcall } from './rollcall.js';

/** `UPDATE_DOCS=1 npx vitest run metrics-doc` writes it anew. */
const DOC = fileURLToPath(new URL('../../../docs/METRICS.md', import.meta.url));
const SOURCES = fileURLToPath(new URL('.', import.meta.url));

/** What the sources call something that is counted, so that an instrument which is made late is not overlooked. */
function namesInSources(): string[] {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.ts') && !/\.(test|fixture)\.ts$|contract\.ts$/.test(file));
  const names = sources.flatMap(
    (file) => readFileSync(`${SOURCES}/${file}`, 'utf8').match(/(?<=')rollcall_[a-z0-9_]+(?=')/g) ?? [],
  );
  return [...new Set(names)].toSorted();
}

it('docs/METRICS.md lists everything that a client counts', async () => {
  const meter = memoryMeter();
  const client = new Rollcall({}, { meter });
  await client.close();
  expect(namesInSources()).toEqual(meter.names());
  const table = [...tableHead('name', 'kind', 'labels', 'what it tells'), ...meter.rows()].join('\n');
  const made = withGenerated(readFileSync(DOC, 'utf8'), new Map([['client', table]]));
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(DOC, made);
  expect(readFileSync(DOC, 'utf8')).toBe(made);
  expect(made).toContain(`${meter.rows().at(-1)}\n\n<!-- end -->`);
});
