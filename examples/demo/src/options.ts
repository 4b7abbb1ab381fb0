import { option } from '@rollcall/core';
import { describeFlags, parseArguments, toggle, valued } from 'rollcall';
import type { Ports } from './ports.js';

export interface DemoOptions {
  readonly restartAfterMs: number;
  /** Null: never. */
  readonly killEveryMs: number | null;
  readonly stopEveryMs: number | null;
  /** Null: the default ports, or free ones where these are taken. A port of 0 is any free one, which it then keeps. */
  readonly ports: Ports | null;
  /** The heartbeat interval; null: the registry's default. */
  readonly intervalMs: number | null;
  /** The demo's own calls per second, in total; 0: none. */
  readonly rate: number;
  readonly isJson: boolean;
  /** Whether keys are read from standard input even where it is not a terminal. */
  readonly isKeyed: boolean;
}

const seconds = (doc: string) => option.number({ doc, unit: 's', min: 0.1, max: 86_400 });

const FLAGS = {
  '--rate': valued(
    option.number({
      doc: 'calls a second through the gateway, half of them to a and half to b; default 40',
      min: 1,
      max: 5_000,
      default: 40,
    }),
    '<n>',
  ),
  '--no-load': toggle('make no calls'),
  '--kill-every': valued(
    seconds('kill one process of a or b at random with SIGKILL at this interval, in seconds'),
    '<s>',
  ),
  '--stop-every': valued(seconds('the same with SIGTERM: it drains and leaves'), '<s>'),
  '--restart-after': valued(
    option.number({
      doc: 'seconds after which a dead process is started again; default 2',
      unit: 's',
      min: 0,
      max: 3_600,
      default: 2,
    }),
    '<s>',
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
  '--ports': valued(
    option.string({
      doc: 'ports of the registry and the gateway, 0 for free ones; default 1337,3333, or free ones where these are taken',
      pattern: /^(0|\d{1,5},\d{1,5})$/,
      allowed: '0 for free ports, or two ports as in 1337,3333',
    }),
    '<ports>',
  ),
  '--json': toggle('lines of JSON: the addresses once everything is HEALTHY, then the events, and the calls every 5 s'),
  '--keys': toggle('read the keys from standard input even where it is not a terminal'),
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: npm run demo -- [options]

Starts a registry with its dashboard, three instances of a (TCP), two of b (HTTP) and a gateway, each in a process of its own, calls a and
b through the gateway all the time, and shows their states and the results of the calls. Dead processes are started again.

${describeFlags(FLAGS).join('\n')}

Keys, on a terminal:
  k  kill a process of a or b at random (SIGKILL), but never the last HEALTHY one of its service
  f  freeze one (SIGSTOP): it accepts connections and answers nothing; f again thaws it
  p  cut the way to a-3: new connections to it are refused, while it still reaches all others; p again heals it
  d  drain one (SIGTERM): it deregisters, finishes its calls and ends
  n  start one more
  r  restart the registry: it is killed, and comes back without any instances
  q  quit, like Ctrl-C: everything ends

Where standard output is not a terminal, there is one line for each change, and one for the calls every 5 s.`;

/** Throws OPTION_INVALID that names every flaw. A text is the help that was asked for. */
export function readOptions(argv: readonly string[]): DemoOptions | string {
  const { flags } = parseArguments(FLAGS, argv);
  if (flags['--help']) return HELP;
  return {
    restartAfterMs: flags['--restart-after'] * 1_000,
    killEveryMs: inMs(flags['--kill-every']),
    stopEveryMs: inMs(flags['--stop-every']),
    ports: portsIn(flags['--ports']),
    intervalMs: flags['--interval'] ?? null,
    rate: flags['--no-load'] ? 0 : flags['--rate'],
    isJson: flags['--json'],
    isKeyed: flags['--keys'],
  };
}

function portsIn(typed: string | undefined): Ports | null {
  if (typed === undefined) return null;
  const [registry = 0, gateway = 0] = typed.split(',').map(Number);
  return { registry, gateway };
}

const inMs = (time: number | undefined): number | null => (time === undefined ? null : time * 1_000);
