import { EVENT_KINDS, isRollcallError, messageOf, option, shortId, sleep, systemTime } from '@rollcall/core';
import type { RegistryEvent } from '@rollcall/core';
import { describeFlags, parseArguments, repeated, toggle, valued } from './arguments.js';
import { apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from './connection.js';
import { OUTPUT_FLAG } from './formats.js';
import { jsonText } from './json-text.js';
import { neededWords } from './operands.js';
import { paint } from './paint.js';
import type { Look } from './paint.js';
import { numberAt } from './json.js';
import type { Json } from './json.js';
import { eventsIn } from './registry-api.js';
import type { RegistryApi } from './registry-api.js';
import { EXIT } from './shell.js';
import type { Command, ExitCode, Shell } from './shell.js';
import { stateLook } from './view.js';
import { clockText, happenedText } from './words.js';

const FLAGS = {
  '--follow': toggle('stay, and tell what happens from now on', 'f'),
  '--kind': repeated(
    option.list({
      doc: `only these: ${EVENT_KINDS.join(', ')}; may be repeated`,
      item: option.oneOf(EVENT_KINDS, { doc: 'a kind' }),
      default: [],
    }),
    '<kind>',
  ),
  '--service': repeated(
    option.list({ doc: 'only of this service; may be repeated', item: option.string({ doc: 'a name' }), default: [] }),
    '<name>',
  ),
  '--limit': valued(
    option.number({
      doc: 'the newest so many, 1 … 1000; default 100',
      integer: true,
      min: 1,
      max: 1_000,
      default: 100,
    }),
    '<n>',
    'n',
  ),
  ...OUTPUT_FLAG,
  ...NAMESPACE_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall events [options]

What happened, the newest last: registrations, changes of state, circuits, self-preservation, and what operators said, each with who did it and
why. The registry keeps the newest 10,000, in memory, and what operators did longer: the newest 1,000.

${describeFlags(FLAGS).join('\n')}

With -o json each event is one line of JSON, as docs/PROTOCOL.md has it (RegistryEvent).

Examples:
  rollcall events --service orders --kind state
  rollcall events -f
  rollcall events -n 1000 -o json > incident.ndjson`;

const ASK_EVERY_MS = 500;
const KIND_WIDTH = Math.max(...EVENT_KINDS.map((kind) => kind.length));

/** `rollcall events`: what happened, and what happens. */
export const events: Command = { help: HELP, run };

type Question = readonly (readonly [string, string])[];

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, words } = parseArguments(FLAGS, argv);
  neededWords('events [options]', words, 0);
  const end = Promise.race([shell.asksToEnd(), shell.nobodyReads]);
  const api = await apiOf(flags, shell.env);
  const isJson = flags['--output'] === 'json';
  const only: Question = [
    ...flags['--kind'].map((kind) => ['kind', kind] as const),
    ...flags['--service'].map((name) => ['service', name] as const),
  ];
  const tell = (answer: Json): void => {
    for (const event of eventsIn(answer)) shell.out(isJson ? jsonText(event) : textOf(event, shell));
  };
  const first = await api.events([...only, ['limit', String(flags['--limit'])]]);
  tell(first);
  if (flags['--follow']) await follow(api, { only, from: first, tell, end }, shell);
  else if (!isJson && eventsIn(first).length === 0) shell.err('Nothing of that kind has happened.');
  return EXIT.done;
}

interface Following {
  readonly only: Question;
  /** What was told already. */
  readonly from: Json;
  readonly tell: (answer: Json) => void;
  readonly end: Promise<void>;
}

/** Goes on asking, also while the registry is away, and says when that begins. */
async function follow(api: RegistryApi, { only, from, tell, end }: Following, shell: Shell): Promise<void> {
  const over = new AbortController();
  void end.then(() => over.abort());
  let last = from;
  let isAway = false;
  while (!over.signal.aborted) {
    try {
      const answer = await api.events([...only, ['limit', '1000'], ['after', String(numberAt(last, 'last') ?? 0)]]);
      isAway = false;
      const isSame = answer['epoch'] === last['epoch'];
      // another life of the registry counts anew: what it has to tell is told from its beginning
      last = isSame ? answer : await api.events([...only, ['limit', '1000']]);
      if (isSame && (numberAt(answer, 'missed') ?? 0) > 0) shell.err(`${String(answer['missed'])} events are gone.`);
      tell(last);
      if (last['more'] === true) continue;
    } catch (error) {
      if (!isRollcallError(error)) throw error;
      if (!isAway) shell.err(`rollcall events: ${messageOf(error)} Trying again.`);
      isAway = true;
    }
    await sleep(systemTime, ASK_EVERY_MS, { signal: over.signal });
  }
}

/** When, what kind, who, what and why. */
function textOf(event: RegistryEvent, shell: Shell): string {
  const { at, kind, service, instance, state } = event;
  const subject = instance !== null && service !== null ? shortId({ id: instance, service }) : (service ?? 'registry');
  const look: Look = state === null ? 'faint' : stateLook(state);
  return paint(
    [
      { text: `${clockText(at)}  ` },
      { text: kind.padEnd(KIND_WIDTH), look: kind === 'state' ? look : 'faint' },
      { text: `  ${subject.padEnd(18)}  ${happenedText(event)}` },
    ],
    { ...shell.terminal, width: Infinity },
  );
}
