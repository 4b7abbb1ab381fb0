import { option } from '@rollcall/core';
import { describeFlags, parseArguments, toggle, valued } from 'rollcall';

export interface DemoOptions {
  readonly restartAfterMs: number;
  /** Null: never. */
  readonly killEveryMs: number | null;
  readonly stopEveryMs: number | null;
  /** 0: any free one, which it then keeps. */
  readonly ports: { readonly registry: number; readonly gateway: number };
  /** Between two heartbeats; null: as the registry does by itself. */
  readonly intervalMs: number | null;
  readonly isJson: boolean;
}

const seconds = (doc: string) => option.number({ doc, unit: 's', min: 0.1, max: 86_400 });

const FLAGS = {
  '--restart-after': valued(
    option.number({
      doc: 'what dies is started again after so many seconds; default 2',
      unit: 's',
      min: 0,
      max: 3_600,
      default: 2,
    }),
    '<s>',
  ),
  '--kill-every': valued(seconds('kill one process of a or b at random with SIGKILL every so many seconds'), '<s>'),
  '--stop-every': valued(seconds('the same with SIGTERM: it drains and leaves'), '<s>'),
  '--ports': valued(
    option.string({
      doc: '0 takes free ports; else those of the registry and the gateway; default 1337,3333',
      pattern: /^(0|\d{1,5},\d{1,5})$/,
      allowed: '0 for free ports, or two ports as in 1337,3333',
      default: '1337,3333',
    }),
    '<ports>',
  ),
  '--interval': valued(
    option.number({
      doc: 'milliseconds between two heartbeats; default 5000',
      unit: 'ms',
      min: 50,
      max: 60_000,
      integer: true,
    }),
    '<ms>',
  ),
  '--json': toggle('one line of JSON once everything is HEALTHY, then one for each process that exits or starts'),
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: npm run demo -- [options]

Starts a registry, three instances of a, two of b and a gateway, each in a process of its own, and shows how they are.

${describeFlags(FLAGS).join('\n')}`;

/** Throws OPTION_INVALID that names every flaw. A text is the help that was asked for. */
export function readOptions(argv: readonly string[]): DemoOptions | string {
  const { flags } = parseArguments(FLAGS, argv);
  if (flags['--help']) return HELP;
  const [registry = 0, gateway = 0] = flags['--ports'].split(',').map(Number);
  return {
    restartAfterMs: flags['--restart-after'] * 1_000,
    killEveryMs: inMs(flags['--kill-every']),
    stopEveryMs: inMs(flags['--stop-every']),
    ports: { registry, gateway },
    intervalMs: flags['--interval'] ?? null,
    isJson: flags['--json'],
  };
}

const inMs = (time: number | undefined): number | null => (time === undefined ? null : time * 1_000);
