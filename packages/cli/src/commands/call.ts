import type { OneCall, RollcallOptions } from '@rollcall/client';
import { isRollcallError, messageOf, option, RollcallError, systemTime } from '@rollcall/core';
import type { Instance, InstanceId } from '@rollcall/core';
import { apiOf, clientOptionsOf, CONNECTION_FLAGS, linkOf, LONG_NAMESPACE_FLAG } from '../registry/connection.js';
import { checkNamespace, unknownServiceText } from '../registry/namespaces.js';
import type { RegistryApi } from '../registry/registry-api.js';
import { matchInstances, expandNamespace, noInstanceError, splitNamespace } from '../registry/resolve-instance.js';
import { ScoreRecorder, scoreLines } from '../render/call-score.js';
import { describeFlags, parseArguments, repeated, toggle, valued } from '../terminal/arguments.js';
import { OUTPUT_FLAG } from '../terminal/formats.js';
import { jsonText } from '../terminal/json-text.js';
import { requireOperands } from '../terminal/operands.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';
import { parseDuration } from '../terminal/durations.js';
import { printable, shortNames, tripText } from '../terminal/texts.js';
import { parseHeaders, requestInit } from './call-headers.js';
import { createSingleInstanceLink } from './single-instance.js';

const FLAGS = {
  '--instance': valued(
    option.string({ doc: 'only this one, whatever its state and the settings of operators; its id may be short' }),
    '<id>',
  ),
  '--count': valued(
    option.number({
      doc: 'this many calls, and a table instead of the answers',
      integer: true,
      min: 1,
      max: 1_000_000,
    }),
    '<n>',
    'n',
  ),
  '--concurrency': valued(
    option.number({
      doc: 'with -n: calls in flight at once; default 1',
      integer: true,
      min: 1,
      max: 1_000,
      default: 1,
    }),
    '<n>',
    'c',
  ),
  '--deadline': valued(option.string({ doc: 'the longest a call may take; default 5s', default: '5s' }), '<time>'),
  '--idempotent': toggle('it does no harm to execute it twice, so it is repeated after a broken connection, too'),
  '--header': repeated(
    option.list({
      doc: 'sent with a request over HTTP; may be repeated',
      item: option.string({ doc: 'a header' }),
      default: [],
    }),
    "'name: value'",
  ),
  ...OUTPUT_FLAG,
  ...LONG_NAMESPACE_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall call <service> <pattern | METHOD /path> [json] [options]

Calls a service as a service would: one of its instances, with balancing, retries, circuits and the identity check. A pattern
(a word, or an object in JSON) is a Nest message over TCP, METHOD and path a request over HTTP; json is the payload, or the body; default {}
for a message. A redirect is the answer. The answer goes to standard output, the name of the instance to standard error. A call that fails, or is answered by a status of 400 or
more, makes the exit code ${EXIT.failed}.

${describeFlags(FLAGS).join('\n')}

Examples:
  rollcall call orders find '{"id":"7"}'
  rollcall call orders '{"cmd":"find"}' '{"id":"7"}'
  rollcall call web GET /orders/7 --header 'accept-language: de' --header 'authorization: Bearer …'
  rollcall call orders find '{"id":"7"}' --instance orders…1e07
  rollcall call orders find '{"id":"7"}' -n 1000 -c 10`;

const VERBS = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** `rollcall call`: calls a service, once or often. */
export const call: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(FLAGS, argv);
  const request = parseRequest(requireOperands('call <service> <pattern | METHOD /path> [json]', operands, 2, 4));
  const headers = parseHeaders(flags['--header'], request.verb !== null);
  const callOptions: OneCall = {
    deadlineMs: parseDuration(flags['--deadline'], '--deadline'),
    ...(flags['--idempotent'] ? { idempotent: true } : {}),
    ...(flags['--instance'] === undefined ? {} : { allowedStates: 'any' }),
  };
  const { api, instances, only } = await resolveCallTarget(
    request.service,
    flags['--instance'],
    await apiOf(flags, shell.env),
  );
  const names = shortNames(instances);
  const { Rollcall } = await import('@rollcall/client');
  const link = await linkOf(flags, shell.env);
  const recorder = new ScoreRecorder(() => systemTime.now());
  const count = flags['--count'];
  const options: RollcallOptions = { ...clientOptionsOf(flags, shell.env), namespace: api.namespace };
  const client = new Rollcall(options, {
    link: only === null ? link : createSingleInstanceLink(link, only),
    tracer: recorder.tracer,
  });
  const isJson = flags['--output'] === 'json';
  const output: Output = { shell, isJson, nameOf: (id) => names.get(id) ?? id };
  const send = (): Promise<CallResult> =>
    request.verb === null
      ? client
          .call(request.service, request.pattern, request.data, callOptions)
          .then((value) => ({ value, status: null }))
      : readResponse(
          client.fetch(request.service, request.path, requestInit(request.verb, request.body, headers), callOptions),
        );
  try {
    if (count === undefined) return await callOnce(send, recorder, output);
    return await callRepeatedly(send, recorder, { count, concurrency: flags['--concurrency'] }, output);
  } finally {
    await client.close();
  }
}

/** The request, as a message or over HTTP. */
type ServiceRequest =
  | { readonly service: string; readonly verb: null; readonly pattern: unknown; readonly data: unknown }
  | { readonly service: string; readonly verb: string; readonly path: string; readonly body: string | null };

/** Throws OPTION_INVALID for invalid JSON. */
export function parseRequest(operands: readonly string[]): ServiceRequest {
  const [service = '', ...afterService] = operands;
  // METHOD and path may be one operand, in quotes
  const [method = '', ...remaining] = afterService.flatMap((operand, index) =>
    index === 0 && /^[A-Z]+ \//.test(operand) ? operand.split(' ') : operand,
  );
  if (VERBS.includes(method.toUpperCase()) && remaining[0]?.startsWith('/') === true) {
    const [path = '/', body = null, extra] = remaining;
    if (extra !== undefined) throw unexpectedOperand(extra);
    if (body !== null) parseJson(body, 'body');
    return { service, verb: method.toUpperCase(), path, body };
  }
  const [data, extra] = remaining;
  if (extra !== undefined) throw unexpectedOperand(extra);
  const pattern = /^[{[]/.test(method) ? parseJson(method, 'pattern') : method;
  return { service, verb: null, pattern, data: data === undefined ? {} : parseJson(data, 'payload') };
}

function unexpectedOperand(operand: string): RollcallError {
  return new RollcallError('OPTION_INVALID', `"${operand}" is one word too many: put JSON into single quotes.`);
}

function parseJson(typed: string, label: string): unknown {
  try {
    return JSON.parse(typed) as unknown;
  } catch (error) {
    throw new RollcallError('OPTION_INVALID', `The ${label} is not JSON (${messageOf(error)}). Received: ${typed}`);
  }
}

/** The instances that may be called. */
interface CallTarget {
  /** For the namespace that is typed before the instance, if there is one. */
  readonly api: RegistryApi;
  readonly instances: readonly Instance[];
  /** Null: none is named. */
  readonly only: InstanceId | null;
}

/** `typed`: the only instance that is to be called. Rejects as `instancesOf` and `oneOf` do. */
async function resolveCallTarget(
  service: string,
  typed: string | undefined,
  defaultApi: RegistryApi,
): Promise<CallTarget> {
  if (typed === undefined) return { api: defaultApi, instances: await instancesOf(defaultApi, service), only: null };
  const { name, namespace } = splitNamespace(typed);
  const api =
    namespace === null ? defaultApi : defaultApi.within(expandNamespace(namespace, await defaultApi.everywhere()));
  const instances = await instancesOf(api, service);
  return { api, instances, only: resolveInstanceOf(name, instances, api) };
}

/** Rejects with UNKNOWN_SERVICE and a suggestion. */
async function instancesOf(api: RegistryApi, service: string): Promise<readonly Instance[]> {
  const known = await api.everywhere();
  checkNamespace(api, known);
  if (known.some(({ name, namespace }) => name === service && namespace === api.namespace))
    return (await api.service(service)).instances;
  throw new RollcallError('UNKNOWN_SERVICE', unknownServiceText(service, api, known));
}

function resolveInstanceOf(typed: string, instances: readonly Instance[], api: RegistryApi): InstanceId {
  const [only, other] = matchInstances(typed, instances);
  if (only === undefined) throw noInstanceError(typed, instances, api.url);
  if (other === undefined) return only.id;
  throw new RollcallError('OPTION_INVALID', `"${typed}" may be ${only.id} or ${other.id}. Write more of its end.`);
}

interface CallResult {
  readonly value: unknown;
  /** Over HTTP. */
  readonly status: number | null;
}

async function readResponse(pending: Promise<Response>): Promise<CallResult> {
  const response = await pending;
  return { value: await response.text(), status: response.status };
}

const isErrorStatus = ({ status }: CallResult): boolean => status !== null && status >= 400;

interface Output {
  readonly shell: Shell;
  readonly isJson: boolean;
  readonly nameOf: (id: InstanceId) => string;
}

async function callOnce(
  send: () => Promise<CallResult>,
  recorder: ScoreRecorder,
  { shell, isJson, nameOf }: Output,
): Promise<ExitCode> {
  const startedAt = systemTime.now();
  const answer = await send();
  const ms = systemTime.now() - startedAt;
  const { status } = answer;
  const { lastInstance } = recorder;
  if (isJson) {
    shell.out(jsonText({ instance: lastInstance, ms: Math.round(ms * 100) / 100, status, answer: answer.value }));
  } else {
    shell.out(typeof answer.value === 'string' ? answer.value : jsonText(answer.value, 2));
    const { wentElsewhere } = recorder.score(0);
    const before = wentElsewhere === 0 ? '' : `, at attempt ${wentElsewhere + 1}`;
    shell.err(
      `${status === null ? '' : `HTTP ${status}, `}${lastInstance === null ? '–' : nameOf(lastInstance)}, ${tripText(ms)}${before}`,
    );
  }
  return isErrorStatus(answer) ? EXIT.failed : EXIT.done;
}

async function callRepeatedly(
  send: () => Promise<CallResult>,
  recorder: ScoreRecorder,
  { count, concurrency }: { readonly count: number; readonly concurrency: number },
  { shell, isJson, nameOf }: Output,
): Promise<ExitCode> {
  const startedAt = systemTime.now();
  let remaining = count;
  const stopped = new AbortController();
  void shell.waitForSignal().then(() => stopped.abort());
  const worker = async (): Promise<void> => {
    while (remaining > 0 && !stopped.signal.aborted) {
      remaining -= 1;
      await callAndRecord(send, recorder);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker));
  const score = recorder.score((systemTime.now() - startedAt) / 1_000);
  if (isJson) shell.out(jsonText(score));
  else for (const line of scoreLines(score, nameOf)) shell.out(line);
  return score.failed > 0 ? EXIT.failed : EXIT.done;
}

async function callAndRecord(send: () => Promise<CallResult>, recorder: ScoreRecorder): Promise<void> {
  const startedAt = systemTime.now();
  try {
    const answer = await send();
    if (isErrorStatus(answer)) recorder.failed(`HTTP ${String(answer.status)}`);
    else recorder.succeeded(systemTime.now() - startedAt);
  } catch (error) {
    if (!isRollcallError(error)) throw error;
    recorder.failed(`${error.code}: ${printable(messageOf(error)).split('. ', 1)[0] ?? ''}`);
  }
}
