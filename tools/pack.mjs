// `npm run pack`: packs every package into `tarballs`, as `npm publish` would, and prints how another project installs
// them. pnpm looks for `@rollcall/core` in the npm registry although its tarball is installed beside it, so it needs
// overrides: they are printed, too.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tarballs = join(root, 'tarballs');
const isWindows = process.platform === 'win32';

const folders = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name));
rmSync(tarballs, { recursive: true, force: true });
mkdirSync(tarballs);
const { status, error } = spawnSync('npm', ['pack', ...folders, '--pack-destination', tarballs, '--loglevel=error'], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
  shell: isWindows,
});
if (status !== 0) {
  console.error(`pack: npm pack failed${error === undefined ? '' : `: ${error.message}`}`);
  process.exit(1);
}

/** The file name of its tarball, as npm chooses it. */
function tarballOf({ name, version }) {
  return join(tarballs, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
}
const manifests = folders.map((folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
const overrides = manifests.map((manifest) => `  '${manifest.name}': 'file:${tarballOf(manifest)}'`);
writeFileSync(join(tarballs, 'pnpm-overrides.yaml'), ['overrides:', ...overrides, ''].join('\n'));

console.log(`${folders.length} packages are packed in ${tarballs}. In the folder of another project:

  npm    npm install ${join(tarballs, '*.tgz')}
  pnpm   cat ${join(tarballs, 'pnpm-overrides.yaml')} >> pnpm-workspace.yaml
         pnpm add ${join(tarballs, '*.tgz')}`);
