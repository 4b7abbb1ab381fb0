import { launch } from '../process/launch.js';

/** The `npm_` variables that npm needs; the others belong to the npm that started the tests. */
const NPM_VARIABLES = ['npm_config_registry', 'npm_config_userconfig'];

/** The environment of every npm. */
export function npmEnvironment(): NodeJS.ProcessEnv {
  const kept = NPM_VARIABLES.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return Object.fromEntries(kept) as NodeJS.ProcessEnv;
}

/** Runs a program to its end and resolves with its output; rejects with that output when its exit code is not 0. */
export async function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<readonly string[]> {
  const child = launch(command, args, { cwd, env: { ...npmEnvironment(), ...env } });
  const { code, signal } = await child.exited;
  if (code === 0) return child.out;
  const output = [...child.out, ...child.err].join('\n');
  throw new Error(`${command} ${args.join(' ')} in ${cwd} ended with ${code ?? signal}:\n${output}`);
}
