import { ALL_NAMESPACES_FLAG, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../registry/connection.js';
import { watchLive } from '../render/watch-live.js';
import { describeFlags, parseArguments, toggle } from '../terminal/arguments.js';
import { optionalOperand } from '../terminal/operands.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';

const FLAGS = {
  '--json': toggle('one line of JSON for each change, also on a terminal'),
  ...NAMESPACE_FLAG,
  ...ALL_NAMESPACES_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall watch [service] [options]

The view of the registry, live, for one service or all, until Ctrl-C: what needs attention, whether callers are affected, and each
instance with its state, both heartbeats, since when, why, and what comes next; of one service its traffic, too. A terminal shows one picture; anything else gets a line
for each change. While the connection to the registry is broken it shows the past and says so, and it reconnects by itself.

${describeFlags(FLAGS).join('\n')}

Examples:
  rollcall watch
  rollcall watch orders | tee orders.log
  rollcall watch --all-namespaces
  rollcall watch --json | jq -c 'select(.state == "CRITICAL")'`;

/** `rollcall watch`: the view of the registry, live. */
export const watch: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(FLAGS, argv);
  const service = optionalOperand('watch', 'service', operands);
  return watchLive({ flags, service, isJson: flags['--json'] }, shell);
}
