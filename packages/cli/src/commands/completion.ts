import { option, RollcallError } from '@rollcall/core';
import { parseArguments, toggle } from '../terminal/arguments.js';
import { requireOperands } from '../terminal/operands.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
const FLAGS = { '--help': toggle('this text', 'h') };

/** The completions of one command. */
export interface CommandCompletion {
  readonly name: string;
  readonly about: string;
  /** The flags in its help: `--url`, `-o`. */
  readonly flags: readonly string[];
}

/** The commands whose operands are ids of instances, or names of services. */
const TAKES_IDS = ['show', 'drain', 'undrain', 'maintenance', 'weight', 'rm'];
const TAKES_SERVICES = ['ls', 'watch', 'graph', 'call'];

const HELP = `Usage: rollcall completion <${SHELLS.join(' | ')}>

Prints what makes the shell complete commands, options, and the ids and services that the registry of ROLLCALL_URL knows.

  -h, --help  this text

Examples:
  source <(rollcall completion bash)        # in ~/.bashrc
  source <(rollcall completion zsh)         # in ~/.zshrc, after compinit
  rollcall completion fish > ~/.config/fish/completions/rollcall.fish`;

/** `rollcall completion`; `commands`: the commands to complete. */
export function createCompletionCommand(commands: () => Promise<readonly CommandCompletion[]>): Command {
  return {
    help: HELP,
    async run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
      const { operands } = parseArguments(FLAGS, argv);
      const [name = ''] = requireOperands(`completion <${SHELLS.join(' | ')}>`, operands, 1);
      const accepted = option.oneOf(SHELLS, { doc: 'a shell' }).accept(name, 'shell');
      if (!accepted.ok) {
        throw new RollcallError('OPTION_INVALID', `There is completion for ${SHELLS.join(', ')}; received "${name}".`);
      }
      shell.out(SCRIPTS[accepted.value](await commands()));
      return EXIT.done;
    },
  };
}

/** The flags in a help text. */
export function flagsIn(help: string): readonly string[] {
  const rows = help.split('\n').flatMap((line) => /^ {2}(?:(-\w), | {4})?(--[a-z][a-z0-9-]*)/.exec(line) ?? []);
  return [...new Set(rows.filter((found) => found !== undefined && /^--?[a-z][a-z0-9-]*$/i.test(found)))];
}

const IDS = 'rollcall ls -o name 2>/dev/null';
const SERVICES = `${IDS} | sed 's/-[^-]*-[^-]*-[^-]*-[^-]*-[^-]*$//' | sort -u`;

type Script = (commands: readonly CommandCompletion[]) => string;

const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], Script>> = { bash, zsh, fish };

function bash(commands: readonly CommandCompletion[]): string {
  const cases = commands.map(({ name, flags }) => `    ${name}) flags="${flags.join(' ')}" ;;`);
  return `# rollcall completion bash
_rollcall() {
  local word="\${COMP_WORDS[COMP_CWORD]}" flags="" words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')} help" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  if [ "\${word:0:1}" != "-" ] && [ "$COMP_CWORD" -eq 2 ]; then
    case "\${COMP_WORDS[1]}" in
      ${TAKES_IDS.join('|')}) words="$(${IDS})" ;;
      ${TAKES_SERVICES.join('|')}) words="$(${SERVICES})" ;;
      completion) words="${SHELLS.join(' ')}" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$flags $words" -- "$word"))
}
complete -o default -F _rollcall rollcall`;
}

/** zsh runs completions of bash. */
function zsh(commands: readonly CommandCompletion[]): string {
  return `# rollcall completion zsh
autoload -U +X bashcompinit && bashcompinit
${bash(commands)}`;
}

function fish(commands: readonly CommandCompletion[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  return [
    '# rollcall completion fish',
    'complete -c rollcall -f',
    ...commands.map(
      ({ name, about }) =>
        `complete -c rollcall -n 'not __fish_seen_subcommand_from ${names}' -a ${name} -d ${quoted(about)}`,
    ),
    ...commands.flatMap(({ name, flags }) => flags.map((flag) => fishFlag(name, flag))),
    `complete -c rollcall -n '__fish_seen_subcommand_from ${TAKES_IDS.join(' ')}' -a ${quoted(`(${IDS})`)}`,
    `complete -c rollcall -n '__fish_seen_subcommand_from ${TAKES_SERVICES.join(' ')}' -a ${quoted(`(${SERVICES})`)}`,
    `complete -c rollcall -n '__fish_seen_subcommand_from completion' -a ${quoted(SHELLS.join(' '))}`,
  ].join('\n');
}

const quoted = (text: string): string => `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;

function fishFlag(name: string, flag: string): string {
  const flagOption = flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
  return `complete -c rollcall -n '__fish_seen_subcommand_from ${name}' ${flagOption}`;
}
