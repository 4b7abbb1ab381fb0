import { option, RollcallError } from '@rollcall/core';
import { diagnose } from '../doctor/diagnose.js';
import { collectFacts } from '../doctor/facts/collect.js';
import type { Facts } from '../doctor/facts/facts.js';
import { RegistryProbe } from '../doctor/facts/http-probe.js';
import { localFacts } from '../doctor/facts/local-facts.js';
import type { Diagnosis, FindingCode } from '../doctor/findings/finding.js';
import { renderDiagnosis, verdictText } from '../doctor/report.js';
import { CONNECTION_FLAGS, namespaceOption, resolveConnection } from '../registry/connection.js';
import { describeFlags, parseArguments, toggle, valued } from '../terminal/arguments.js';
import { jsonText } from '../terminal/json-text.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';

const FORMATS = ['text', 'json'] as const;

const FLAGS = {
  '--output': valued(
    option.oneOf(FORMATS, { doc: `${FORMATS.join(' | ')}; default text`, default: 'text' }),
    '<format>',
    'o',
  ),
  '--no-ports': toggle('do not probe the ports of instances from here: use only what the registry reports'),
  '--namespace': valued(namespaceOption('only what is in this namespace; default: all'), '<name>', 'n'),
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall doctor [service|id] [options]

Diagnoses a registry and its instances: each problem with its evidence, its effect, and what to change. It needs nothing but HTTP to the
registry, and probes the ports of the instances from here, too: each line says which of the two saw it. What does not answer is tried
several times. It takes a few seconds, as it holds a change feed for 2.5 s, and changes nothing.

${describeFlags(FLAGS).join('\n')}

A service is checked with the calls from it and to it, an instance with its callers; nothing else is checked then, and the verdict
says so. Three findings of one code or more are one entry of the text; json has each.

Formats: json is one object, { url, scope, verdict, findings, fine, unchecked }, each finding with code, gravity (broken, risk, note), what,
instances, names, services, share (of the services, that is lost), evidence, why, fix, commands (in fix) and link. Codes: docs/guide/troubleshooting.md. Exit codes: ${EXIT.done} nothing was found, ${EXIT.failed} something was,
${EXIT.unreachable} no registry answers.`;

/** `rollcall doctor`: problems with their evidence, and fixes. */
export const doctor: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(FLAGS, argv);
  const [operand = null, extra] = operands;
  if (extra !== undefined)
    throw new RollcallError(
      'OPTION_INVALID',
      `doctor takes one service or id; received ${operands.length}: ${operands.join(' ')}.`,
    );
  const connection = resolveConnection(flags, shell.env);
  const facts = await collectFacts(new RegistryProbe(connection), {
    operand,
    namespace: flags['--namespace'] ?? null,
    shouldProbePorts: !flags['--no-ports'],
    otherUrls: connection.otherUrls,
    local: localFacts(shell.env),
  });
  const diagnosis = diagnose(facts);
  for (const line of flags['--output'] === 'json'
    ? [jsonOf(facts, diagnosis)]
    : renderDiagnosis(facts, diagnosis, shell.terminal))
    shell.out(line);
  return exitCodeOf(facts, diagnosis);
}

function jsonOf(facts: Facts, { findings, fine, unchecked }: Diagnosis): string {
  const { url, scope } = facts;
  return jsonText({ url, scope, verdict: verdictText(facts, findings), findings, fine, unchecked });
}

/**
 * A registry that refuses is reachable, and so is one of which small answers arrive; another program in its place is
 * not. A registry that could not be checked does not count as absent.
 */
function exitCodeOf({ contact }: Facts, { findings }: Diagnosis): ExitCode {
  if (findings.length === 0) return EXIT.done;
  const has = (...codes: readonly FindingCode[]): boolean => findings.some(({ code }) => codes.includes(code));
  const isReachable = has('large-answers-lost', 'few-open-files-here');
  const isAbsent = (contact.kind === 'failure' && !isReachable) || has('not-a-registry');
  return isAbsent ? EXIT.unreachable : EXIT.failed;
}
