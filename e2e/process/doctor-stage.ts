import { createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net';
import { startRegistry, urlOf } from './plain-requests.js';
import { start } from './spawn.js';

export const INTERVAL_MS = 200;

/** Open resources; `closeAll` closes them, the newest first. */
const closers: (() => unknown)[] = [];

export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).toReversed()) await close();
}

/** Closes it with everything else. */
export function closeLater(close: () => unknown): void {
  closers.push(close);
}

export interface Diagnosis {
  readonly code: number | null;
  readonly verdict: string;
  readonly findings: readonly {
    readonly code: string;
    readonly gravity: string;
    readonly what: string;
    readonly instances: readonly string[];
    readonly evidence: readonly string[];
    readonly fix: readonly string[];
    readonly link: string;
  }[];
  readonly fine: readonly string[];
  readonly unchecked: readonly string[];
}

/** `rollcall doctor -o json`, as a process of its own. */
export async function doctor(
  url: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Diagnosis> {
  const child = start('rollcall', ['doctor', '-o', 'json', '--url', url, ...args], env);
  const { code } = await child.exited;
  if (child.out.length !== 1) throw new Error(`doctor printed: ${[...child.out, ...child.err].join('\n')}`);
  return { code, ...(JSON.parse(child.out.join('')) as Omit<Diagnosis, 'code'>) };
}

/** In the order of the guide. */
const CODES = [
  ...readFileSync(new URL('../../docs/guide/troubleshooting.md', import.meta.url), 'utf8').matchAll(/^### (\S+)$/gm),
].map(([, code = '']) => code);
const FIRST_INSTANCE_CODE = CODES.indexOf('port-not-listening');
const SHARED_CODES: readonly string[] = ['insecure-registry'];
/** The codes that need a network, or a process, in trouble. */
export const TROUBLE_CODES: readonly string[] = [
  'registry-at-other-address',
  'registry-closes-connections',
  'few-open-files-here',
  'registry-unsteady',
  'large-answers-lost',
  'stream-cut',
  'registries-differ',
  'few-open-files',
  'heartbeats-lost',
];
/** The codes of the way to a registry: no answer, no TLS, no access. */
export const CONNECTION_CODES: readonly string[] = [
  'registry-not-listening',
  'registry-name-unknown',
  'registry-silent',
  'registry-speaks-tls',
  'registry-speaks-no-tls',
  'registry-certificate',
  'not-a-registry',
  'registry-not-ready',
  'registry-name-refused',
  'registry-refuses',
  'token-missing',
  'token-expiring',
  'token-wrong',
  'token-lapsed',
  'service-not-let-in',
  'access-forbidden',
  'certificate-expiring',
];
const otherCodes = [...SHARED_CODES, ...TROUBLE_CODES, ...CONNECTION_CODES];
/** All other codes of a registry, and those of its instances. */
export const REGISTRY_CODES: readonly string[] = CODES.slice(0, FIRST_INSTANCE_CODE).filter(
  (code) => !otherCodes.includes(code),
);
export const INSTANCE_CODES: readonly string[] = [
  ...CODES.slice(FIRST_INSTANCE_CODE).filter((code) => !otherCodes.includes(code)),
  ...SHARED_CODES,
];

/** `rollcall up --memory` with a heartbeat interval of 200 ms, as a process of its own. */
export async function startMemoryRegistry(...args: string[]): Promise<string> {
  return urlOf(startRegistry(INTERVAL_MS, ['--memory', ...args]));
}

/** All codes that were found in this file. */
export const provoked: Set<string> = new Set();

/** Runs the doctor and counts its codes as provoked. */
export async function diagnose(...args: Parameters<typeof doctor>): Promise<Diagnosis> {
  const diagnosis = await doctor(...args);
  for (const { code } of diagnosis.findings) provoked.add(code);
  return diagnosis;
}

export const codesOf = ({ findings }: Diagnosis): string[] => findings.map(({ code }) => code);

/** The finding with this code whose evidence and fix match. */
export function finding(
  { findings }: Diagnosis,
  code: string,
  evidence: RegExp,
  fix: RegExp,
): Diagnosis['findings'][number] {
  const match = findings.find((each) => each.code === code && each.evidence.some((line) => evidence.test(line)));
  const hasFixAndLink =
    match !== undefined && fix.test(match.fix.join('\n')) && match.link === `docs/guide/troubleshooting.md#${code}`;
  if (hasFixAndLink) return match;
  throw new Error(`No ${code} that matches ${evidence} and ${fix} in ${JSON.stringify(findings, null, 1)}`);
}

/** Makes a server of the test listen on a free port of this address. */
export async function openPort<One extends Server | TcpServer>(server: One, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  closeLater(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

// ---- services without a client -----------------------------------------------------------------------------------------

const SECRET = 'a-secret-of-132-bits-22';

export interface RawService {
  readonly id: string;
  readonly port: number;
  /** Whether it answers Heartbeat-1. If not, it accepts the connection and sends nothing. */
  answers: boolean;
  /** Whether it sends Heartbeat-2. */
  beats: boolean;
  /** The service name that it claims. */
  name: string;
  /** The id of another instance that answers at its port in turns with it. */
  twin: string | null;
  turn: number;
  /** Closes its port. */
  closePort(): Promise<void>;
}

export interface RawServiceOptions {
  readonly intervalMs: number;
  readonly id?: string;
  /** The address that it registers; default: where it listens. */
  readonly place?: { readonly host?: string; readonly port?: number };
  readonly metadata?: Readonly<Record<string, string>>;
  readonly beats?: boolean;
  /** The calls to others that it reports with each Heartbeat-2. */
  readonly edges?: readonly object[];
}

/** A service that implements docs/PROTOCOL.md, each part only as long as the test wants. */
export async function startRawService(
  url: string,
  service: string,
  serviceOptions: RawServiceOptions,
): Promise<RawService> {
  const { intervalMs, place = {}, metadata = {}, beats = true, edges } = serviceOptions;
  const { id = `${service}-${Math.random().toString(36).slice(2, 12)}` } = serviceOptions;
  let nonce: string | null = null;
  let seq = 0;
  const reply = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await bodyOf(incoming);
    if (!one.answers) return;
    const call = JSON.parse(body) as { nonce?: string; instance?: string; purpose?: string };
    nonce = call.nonce ?? nonce;
    response.setHeader('connection', 'close');
    response.end(JSON.stringify({ instance: nameFor(one, call), nonce: call.nonce ?? null }));
  };
  const server = createServer((incoming, response) => void reply(incoming, response).catch(() => incoming.destroy()));
  const port = await openPort(server);
  const one: RawService = {
    id,
    port,
    answers: true,
    beats,
    name: id,
    twin: null,
    turn: 0,
    closePort: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  const endpoints = [
    { protocol: 'http', port: place.port ?? port, ...(place.host === undefined ? {} : { host: place.host }) },
  ];
  const registered = await register(url, { id, service, endpoints, metadata });
  if (registered.status !== 201) throw new Error(await registered.text());
  const timer = setInterval(() => {
    if (!one.beats) return;
    seq += 1;
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` };
    void fetch(`${url}/api/v1/instances/${id}/heartbeat`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ nonce, seq, ...(edges === undefined ? {} : { edges }) }),
    })
      .then((answer) => answer.arrayBuffer())
      .catch(() => null);
  }, intervalMs / 2);
  closeLater(() => clearInterval(timer));
  return one;
}

/**
 * Two instances that share an address answer in turns when any identity is accepted, and each for itself when one is
 * required.
 */
function nameFor(
  one: RawService,
  { instance, purpose }: { readonly instance?: string; readonly purpose?: string },
): string {
  if (one.twin === null) return one.name;
  if (purpose !== 'opinion') return instance ?? one.name;
  one.turn += 1;
  return one.turn % 2 === 0 ? one.name : one.twin;
}

/** Sends a registration as given; optionally with another secret, or a token. */
export function register(
  url: string,
  { secret = SECRET, token, ...fields }: Readonly<Record<string, unknown>> & { secret?: string; token?: string },
): Promise<Response> {
  return fetch(`${url}/api/v1/register`, {
    method: 'POST',
    headers: {
      connection: 'close',
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ ...fields, secret }),
  });
}

async function bodyOf(stream: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString('utf8');
}

// ---- proxies --------------------------------------------------------------------------------------------

/** What a proxy changes. */
export interface ProxyFaults {
  /** Whether this request is blocked. */
  readonly cuts?: (path: string) => boolean;
  readonly host?: string;
  /** The offset that is added to the answer's Date. */
  readonly dateMs?: number;
  /** Endless answers are ended after this time. */
  readonly lastsMs?: number;
}

/** An HTTP proxy in front of a registry: its URL. */
export async function startProxy(
  url: string,
  { cuts = () => false, host, dateMs = 0, lastsMs }: ProxyFaults,
): Promise<string> {
  const server = createServer((incoming: IncomingMessage, response: ServerResponse) => {
    const path = incoming.url ?? '';
    if (cuts(path)) return void incoming.socket.destroy();
    const headers = { ...incoming.headers, ...(host === undefined ? {} : { host }) };
    const onward = request(`${url}${path}`, { method: incoming.method ?? 'GET', headers, agent: false }, (answer) => {
      const date = new Date(Date.parse(String(answer.headers.date)) + dateMs).toUTCString();
      response.writeHead(answer.statusCode ?? 500, { ...answer.headers, date });
      answer.pipe(response);
      if (lastsMs !== undefined) {
        const end = setTimeout(() => response.destroy(), lastsMs);
        response.on('close', () => clearTimeout(end));
      }
      response.on('close', () => answer.destroy());
    });
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  });
  return `http://127.0.0.1:${await openPort(server)}`;
}

/** A TCP proxy that forwards a connection only if its first data fits: its port. */
export async function startPickyProxy(port: () => number, accepts: (first: string) => boolean): Promise<number> {
  const server = createTcpServer((socket: Socket) => {
    socket.on('error', () => {});
    socket.once('data', (first) => {
      if (!accepts(first.toString('utf8'))) return void socket.resetAndDestroy();
      const onward = connect(port(), '127.0.0.1');
      onward.on('error', () => socket.destroy());
      onward.write(first);
      socket.pipe(onward).pipe(socket);
    });
  });
  return openPort(server);
}

/** The losses of a connection. */
export interface Losses {
  /** By the number of the connection, from 0: whether it is accepted and never answered. */
  readonly swallows?: (nth: number) => boolean;
  /** The number of bytes of each answer that are forwarded; then no more, and the connection stays open. */
  readonly maxBytes?: number;
}

/** A TCP proxy that loses part of its traffic: its port. */
export async function startLossyProxy(
  port: () => number,
  { swallows = () => false, maxBytes = Infinity }: Losses,
): Promise<number> {
  let connections = 0;
  const server = createTcpServer((socket: Socket) => {
    const isLost = swallows(connections);
    connections += 1;
    socket.on('error', () => {});
    closeLater(() => socket.destroy());
    if (isLost) return;
    let left = maxBytes;
    const onward = connect(port(), '127.0.0.1');
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
    socket.pipe(onward);
    onward.on('data', (bytes: Buffer) => {
      if (left > 0) socket.write(bytes.subarray(0, left));
      left -= bytes.length;
    });
    onward.on('end', () => {
      if (left >= 0) socket.end();
    });
  });
  return openPort(server);
}
