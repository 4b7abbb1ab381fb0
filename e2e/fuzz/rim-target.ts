import {
  beatMessage,
  DEFAULT_POLICY,
  drainMessage,
  instancePatchMessage,
  noMeter,
  problemDocumentMessage,
  PROBLEMS,
  PROTOCOLS,
  registrationMessage,
  suspicionMessage,
} from '@rollcall/core';
import type { AnyMessage } from '@rollcall/core';
import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { DEFAULT_LIMITS, MemoryStore, Registry } from '@rollcall/registry';
import { buildApp, OPEN_ENTRANCE } from '@rollcall/registry/testing';
import { Draw, valueFor } from './draw.js';
import { jsonOf, assertRule, textOf } from './target.js';
import type { Target } from './target.js';

const METHODS = ['GET', 'POST', 'PATCH', 'DELETE', 'HEAD', 'PUT', 'OPTIONS'] as const;
const SECRET = 'a-secret-of-132-bits-22';
const ID = '/api/v1/instances/orders-1';
/** A route, and the table of its body. */
const ROUTES: readonly [readonly [string, AnyMessage | null], ...(readonly [string, AnyMessage | null])[]] = [
  ['/api/v1/services', null],
  ['/api/v1/services/orders', null],
  ['/api/v1/register', registrationMessage],
  [`${ID}/heartbeat`, beatMessage],
  [`${ID}/suspect`, suspicionMessage],
  [`${ID}/drain`, drainMessage],
  [ID, instancePatchMessage],
  [`${ID}/call`, null],
  [`${ID}/timeline`, null],
  [`${ID}/beats`, null],
  ['/api/v1/watch', null],
  ['/api/v1/events', null],
  ['/api/v1/topology', null],
  ['/api/v1/traffic', null],
  ['/api/v1/registry', null],
  ['/sd/prometheus', null],
  ['/health/ready', null],
];
const QUERY = ['namespace', 'service', 'state', 'version', 'zone', 'revision', 'waitMs', 'resume', 'instance'] as const;
const MORE_QUERY = [
  'after',
  'limit',
  'kind',
  'epoch',
  'from',
  'to',
  'step',
  'heartbeats',
  '__proto__',
  'constructor',
  'toString',
] as const;
const VALUES = [
  'orders',
  '*',
  'default',
  'HEALTHY',
  '0',
  '1',
  '-1',
  '1e9',
  '99999999999999999999',
  '%00',
  '%2e%2e',
  '%ff',
] as const;

interface Request {
  readonly method: (typeof METHODS)[number];
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** `METHOD url`, headers, an empty line, the body; other bytes choose which request is made. */
function requestFrom(bytes: Uint8Array): Request {
  const [head = '', ...rest] = textOf(bytes).split('\n\n');
  const [start = '', ...lines] = head.split('\n');
  const [word, url = '/'] = start.split(' ');
  const method = METHODS.find((one) => one === word);
  if (method === undefined) return drawRequest(new Draw(bytes));
  const headers: Record<string, string> = { host: 'localhost' };
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    // headers that Node's own parser would refuse
    if (/^[a-z0-9-]{1,40}$/.test(name)) headers[name] = line.slice(colon + 1).replace(/[^\t\x20-\x7e\x80-\xff]/g, '');
  }
  return { method, url: pathOf(url), headers, body: rest.join('\n\n') };
}

/** A request line contains no spaces, controls or characters beyond ASCII; two leading slashes are a host to `inject`. */
const pathOf = (url: string): string => `/${url.replace(/[^\x21-\x7e]|#.*/g, '')}`.replace(/^[/\\]+/, '/');

function drawRequest(draw: Draw): Request {
  const [path, table] = draw.pick(ROUTES);
  const method = draw.pick(METHODS);
  const parts: string[] = [];
  for (let left = draw.below(5); left > 0; left -= 1) {
    const value =
      draw.below(4) === 3 ? encodeURIComponent(Buffer.from(draw.rest(12)).toString('latin1')) : draw.pick(VALUES);
    parts.push(`${draw.below(3) === 2 ? draw.pick(MORE_QUERY) : draw.pick(QUERY)}=${value}`);
  }
  const headers: Record<string, string> = { host: 'localhost', 'content-type': 'application/json' };
  if (draw.below(2) === 0) headers['authorization'] = `Bearer ${draw.below(3) === 2 ? 'wrong' : SECRET}`;
  if (draw.below(2) === 0) headers['x-rollcall-operator'] = '1';
  if (draw.below(8) === 7) headers['last-event-id'] = textOf(draw.rest(40)).replace(/[^\x20-\x7e]/g, '.');
  if (draw.below(8) === 7) headers['host'] = 'evil.example';
  const body = table === null || method === 'GET' ? '' : (JSON.stringify(valueFor(table, draw)) ?? '');
  return { method, url: pathOf(parts.length === 0 ? path : `${path}?${parts.join('&')}`), headers, body };
}

const createProbeRefusal = (protocol: (typeof PROTOCOLS)[number] | 'heartbeat') => ({
  protocol,
  call: () => Promise.resolve({ kind: 'refused', text: 'connect ECONNREFUSED', ms: 1 } as const),
  close() {},
});

/** Method and path, in the router's notation, of the last request that reached the routes. */
interface LastRequest {
  route: string | null;
}

/** A registry in memory, whose clock stands still, with one service. */
async function createFixture() {
  const time = new ManualTime();
  const log = recordingLog();
  const registry = new Registry(
    {
      time,
      random: seededRandom(1),
      log,
      meter: noMeter,
      store: new MemoryStore(),
      callers: [...PROTOCOLS.map(createProbeRefusal), createProbeRefusal('heartbeat')],
      resolve: () => Promise.resolve('127.0.0.1'),
    },
    { policy: DEFAULT_POLICY, allowedNetworks: [], limits: DEFAULT_LIMITS, freshEvery: 1 },
  );
  await registry.start();
  const endpoints = [{ protocol: 'tcp', port: 3001 }] as const;
  await registry.register({ id: 'orders-1', service: 'orders', secret: SECRET, endpoints }, { address: '127.0.0.1' });
  const openRequests = new Set<() => void>();
  const app = buildApp(
    { registry, time, log, insecure: false, access: 'open', authorization: OPEN_ENTRANCE, lasting: openRequests },
    ['localhost'],
    null,
  );
  const lastRequest: LastRequest = { route: null };
  // the socket of `inject` is a stand-in that can only be written to
  app.addHook('onRequest', async ({ method, routeOptions }, { raw: { socket } }) => {
    lastRequest.route = `${method} ${routeOptions.url ?? ''}`;
    if (socket !== null) Object.assign(socket, { setTimeout: () => socket, setNoDelay: () => socket });
  });
  await app.ready();
  return { app, log, openRequests, lastRequest, registry };
}

type Fixture = Awaited<ReturnType<typeof createFixture>>;

/** A new registry after this many requests, so that none grows old. */
const REQUESTS = 500;
/** Turns of the event loop: nothing here waits for a network, so an answer takes a few. */
const TURNS = 60;
const LATE_MS = 10_000;
/** When it is cut, it is never answered. */
const STREAM = 'GET /api/v1/watch';
const STATUSES: ReadonlySet<number> = new Set([200, 201, 202, 204, ...Object.values(PROBLEMS)]);

/** Requests change the state for those after them: a finding may need several. */
export function rimTarget(): Target {
  let fixture: Promise<Fixture> | null = null;
  let left = 0;
  return {
    name: 'rim',
    about: 'every route, query, header and body, through Fastify into a registry in memory',
    seeds: [
      'GET /api/v1/services/orders?state=HEALTHY&version=1&zone=a&revision=0&waitMs=10',
      'GET /api/v1/watch?service=orders&resume=orders&namespace=*\nlast-event-id: 0192f0a1-7c3e-7a61-8f00-1a2b3c4d5e6f.1',
      'GET /api/v1/events?after=0&limit=5&kind=state&service=orders',
      `POST ${ID}/heartbeat\ncontent-type: application/json\nauthorization: Bearer ${SECRET}\n\n{"nonce":null,"seq":3}`,
      'POST /api/v1/register\ncontent-type: application/json\n\n{"id":"a","service":"a","endpoints":[{"protocol":"tcp","port":1}]}',
      `PATCH ${ID}\ncontent-type: application/json\nx-rollcall-operator: 1\n\n{"admin":"DRAINING"}`,
      new Uint8Array([2, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
      new Uint8Array([8, 0, 3, 0, 1, 2, 1, 3, 2]),
    ],
    async run(bytes) {
      if (left === 0) {
        const previous = fixture;
        fixture = createFixture();
        left = REQUESTS;
        if (previous !== null) void previous.then(closeWorld);
      }
      left -= 1;
      if (fixture !== null) await ask(await fixture, requestFrom(bytes));
    },
  };
}

async function closeWorld({ app, registry }: Fixture): Promise<void> {
  await app.close();
  await registry.close();
}

async function ask({ app, log, openRequests, lastRequest }: Fixture, request: Request): Promise<void> {
  const { method, url, headers, body } = request;
  const what = `${method} ${url.slice(0, 200)}`;
  lastRequest.route = null;
  const asked = app.inject({ method, url, headers, payload: body });
  const early = await Promise.race([asked, endOpenRequests(openRequests, asked)]);
  // a cut stream is never answered; a file takes time to read
  if (early === null && lastRequest.route === STREAM) return;
  const answer = early ?? (await Promise.race([asked, late()]));
  assertRule(answer !== null, `${what} is never answered`);
  const { statusCode, payload } = answer;
  assertRule(statusCode !== 500, `${what} fails: ${log.texts('error').at(-1)?.slice(0, 500)}`);
  assertRule(STATUSES.has(statusCode), `${what} is answered with ${statusCode}`);
  if (statusCode < 400 || method === 'HEAD') return;
  assertRule(problemDocumentMessage.parse(jsonOf(payload)).ok, `${what}: ${statusCode} without a problem`);
  assertRule(
    payload.length <= 16_384 + 2 * (url.length + body.length),
    `${what}: a refusal of ${payload.length} characters`,
  );
}

async function late(): Promise<null> {
  await new Promise((resolve) => setTimeout(resolve, LATE_MS).unref());
  return null;
}

/**
 * Ends long-lived requests, as the server does when it closes: long polls are answered, streams are cut. Null once that
 * had no effect.
 */
async function endOpenRequests(openRequests: ReadonlySet<() => void>, asked: Promise<unknown>): Promise<null> {
  const state = { isAnswered: false };
  void asked.finally(() => (state.isAnswered = true)).catch(() => {});
  for (let turn = 0; !state.isAnswered && turn < TURNS; turn += 1) {
    for (const end of openRequests) end();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return null;
}
