// Builds the static files of the dashboard into dist/, which the registry serves; and a compressed copy of each, as `.gz` and `.br`. Prints
// their sizes, and fails above the budget.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { build } from 'vite';

const here = fileURLToPath(new URL('.', import.meta.url));
const out = join(here, 'dist');
/** In bytes, gzip: what the first screen loads of script, and everything together. */
const FIRST_SCRIPT = 60 * 1024;
const ALL = 120 * 1024;

rmSync(out, { recursive: true, force: true });
await build({
  configFile: false,
  root: join(here, 'src'),
  base: './',
  logLevel: 'warn',
  resolve: { conditions: ['@rollcall/source', 'module', 'browser', 'development|production'] },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: out,
    emptyOutDir: true,
    // the first of each that knows `light-dark()`
    target: ['chrome123', 'firefox120', 'safari17.5'],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});

const weigh = (path) => gzipSync(readFileSync(path), { level: 9 }).length;
const files = readdirSync(out, { recursive: true })
  .map((name) => join(out, name))
  .filter((path) => statSync(path).isFile());
const all = files.reduce((sum, path) => sum + weigh(path), 0);
const page = readFileSync(join(out, 'index.html'), 'utf8');
const first = [...page.matchAll(/src="\.\/([^"]+\.js)"|rel="modulepreload"[^>]*href="\.\/([^"]+)"/g)].reduce(
  (sum, [, script, preloaded]) => sum + weigh(join(out, script ?? preloaded)),
  0,
);
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
process.stderr.write(
  `dashboard: first script ${kib(first)} of ${kib(FIRST_SCRIPT)}, all ${kib(all)} of ${kib(ALL)}, gzip\n`,
);
if (first > FIRST_SCRIPT || all > ALL) {
  process.stderr.write('dashboard: it is heavier than it may be; load what is not on the first screen later\n');
  process.exit(1);
}

/** A file of fewer bytes fits into one packet uncompressed. */
const LEAST_COMPRESSED = 1_024;
for (const path of files) {
  const bytes = readFileSync(path);
  if (bytes.length < LEAST_COMPRESSED) continue;
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(bytes)); // quality 11 by itself
}
