import { existsSync } from 'node:fs';
import { cp, mkdir, rm } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { launch } from '../process/launch.js';
import type { Child } from '../process/launch.js';
import { ROOT } from './packages.js';
import { run, npmEnvironment } from './run.js';

/** JavaScript for every Node.js version that we support; pnpm 12 is a native program. */
const PNPM = 'pnpm@10.34.8';

/** Runs lines of the documentation: a folder with a clone of this repository, and projects beside it. */
export class Workspace {
  readonly folder: string;
  readonly #env: NodeJS.ProcessEnv;

  /** `cache`: that of npm. All other files of npm and pnpm are in `folder`, too. */
  constructor(folder: string, cache: string) {
    this.folder = folder;
    const others = (process.env['PATH'] ?? '').split(delimiter).filter((path) => !path.endsWith('.bin')); // of this repository
    this.#env = {
      PATH: [join(folder, 'tools', 'node_modules', '.bin'), ...others].join(delimiter),
      npm_config_cache: cache,
      npm_config_ignore_scripts: 'true',
      npm_config_update_notifier: 'false',
      XDG_CACHE_HOME: join(folder, 'cache'),
      XDG_DATA_HOME: join(folder, 'data'),
      XDG_STATE_HOME: join(folder, 'state'),
    };
  }

  /** Runs lines of a shell; rejects with their output when one of them fails. */
  async run(lines: string, project: string): Promise<string> {
    return (await run('sh', ['-ec', lines], join(this.folder, project), this.#env)).join('\n');
  }

  /** Starts one line, split at its spaces. */
  start(line: string, project: string, env: NodeJS.ProcessEnv = {}): Child {
    const [command = '', ...args] = line.split(' ');
    return launch(command, args, {
      cwd: join(this.folder, project),
      env: { ...npmEnvironment(), ...this.#env, ...env },
    });
  }

  async installPnpm(): Promise<void> {
    await mkdir(join(this.folder, 'tools'), { recursive: true });
    await this.run(`npm install --no-save ${PNPM}`, 'tools');
  }

  /** The result of `git clone`, with the changes that are not committed yet. */
  async clone(name: string): Promise<void> {
    const target = join(this.folder, name);
    await run('git', ['clone', '--quiet', ROOT, target], ROOT);
    const changed = ['ls-files', '--modified', '--others', '--exclude-standard'];
    for (const file of await run('git', ['-c', 'core.quotePath=off', ...changed], ROOT)) {
      if (!existsSync(join(ROOT, file))) {
        await rm(join(target, file), { force: true });
        continue;
      }
      await mkdir(dirname(join(target, file)), { recursive: true });
      await cp(join(ROOT, file), join(target, file));
    }
  }
}
