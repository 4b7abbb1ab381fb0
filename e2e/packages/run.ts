import { launch } from '../process/launch.js';

/** What npm needs of its surroundings; the rest of the `npm_` variables belongs to the npm that started the tests. */
const SURROUNDINGS = ['npm_config_registry', 'npm_config_userconfig'];

/** What every npm is told of its surroundings. */
export function surroundings(): NodeJS.ProcessEnv {
  const kept = SURROUNDINGS.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return Object.fromEntries(kept) as NodeJS.ProcessEnv;
}

/** Runs a program to its end and resolves with what it said; rejects with all of that when its exit code is not 0. */
export async function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
): Promise<readonly string[]> {
  const child = launch(command, args, { cwd, env: { ...surroundings(), ...env } });
  const { code, signal } = await child.exited;
  if (code === 0) return child.out;
  const said = [...child.out, ...child.err].join('\n');
  throw new Error(`${command} ${args.join(' ')} in ${cwd} ended with ${code ?? signal}:\n${said}`);
}
