import { Socket, createServer } from 'node:net';
import type { ConnectOpts, SocketConstructorOpts } from 'node:net';
import { answerQuestions } from './dialogue.js';

// Thousands of instances in one process, as cheap as Node allows, so that the registry is measured: raw sockets that
// answer Heartbeat-1 (over TCP and HTTP) without reading more than they must, and send Heartbeat-2 on a timer of their
// own.

const SECRET = 'a-secret-of-the-benchmark';
const SERVICES = 100;
const REGISTRATIONS_AT_ONCE = 32;
const TICK_MS = 4;
const MAX_TICKS = 5;
/** All client sockets read into the same buffer: each is done with it before the next one reads. */
const scratch = Buffer.alloc(65_536);

/** The parameters of the simulation. */
interface Settings {
  /** The port of the registry, or of the loop that replaces it. */
  readonly port: number;
  readonly protocol: 'tcp' | 'http';
  readonly count: number;
  readonly intervalMs: number;
  /** One of this many Heartbeat-2 uses a fresh connection. */
  readonly freshEvery: number;
  /** Whether instances register; the loop accepts them without. */
  readonly registers: boolean;
}

interface Member {
  readonly id: string;
  /** The nonce of its newest Heartbeat-1, as JSON. */
  nonce: string;
  seq: number;
  isRegistered: boolean;
  kept: RegistryConnection | null;
  /** When its last ordinary Heartbeat-1 arrived; NaN: one of another kind arrived after it. */
  calledAt: number;
}

const members: Member[] = [];
let settings: Settings = { port: 0, protocol: 'tcp', count: 0, intervalMs: 5_000, freshEvery: 1, registers: true };
let calls = 0;
let beats = 0;
let sent = 0;
let answered = 0;
/** Of each Heartbeat-2, ms; of each Heartbeat-1, its delay beyond an interval after its predecessor, ms. */
let roundTrips: number[] = [];
let delays: number[] = [];

const idOf = (index: number): string => `crowd-${index % SERVICES}-${String(index).padStart(12, '0')}`;
/** Each instance has an address of its own: no port is used twice within a minute. */
const hostOf = (index: number): string => `127.1.${index >> 8}.${index & 255}`;

function valueOf(text: string, field: string): string {
  const from = text.indexOf(`"${field}":"`) + field.length + 4;
  return text.slice(from, text.indexOf('"', from));
}

/** Heartbeat-1: the answer in the requested protocol, with the nonce. Every probe arrives in one chunk. */
function answerTo(text: string): { readonly answer: string; readonly closes: boolean } {
  const nonce = valueOf(text, 'nonce');
  const id = valueOf(text, 'instance');
  const member = members[Number(id.slice(-12))];
  if (member !== undefined) {
    member.nonce = `"${nonce}"`;
    if (text.includes('"purpose":"urgent"')) {
      beat(member);
      member.calledAt = Number.NaN;
    } else {
      const now = performance.now();
      if (member.calledAt > 0) delays.push(Math.max(0, now - member.calledAt - settings.intervalMs));
      member.calledAt = now;
    }
  }
  calls += 1;
  const closes = !text.includes('"keep":true');
  if (text.startsWith('POST')) {
    const body = `{"instance":"${id}","nonce":"${nonce}"}`;
    const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n`;
    return { answer: `${head}connection: ${closes ? 'close' : 'keep-alive'}\r\n\r\n${body}`, closes };
  }
  const frame = `{"response":{"instance":"${id}","nonce":"${nonce}"},"isDisposed":true,"id":"${nonce}"}`;
  return { answer: `${frame.length}#${frame}`, closes };
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => {
    const { answer, closes } = answerTo(bytes.toString('latin1'));
    if (closes) socket.end(answer, 'latin1');
    else socket.write(answer, 'latin1');
  });
});

/** A connection to the registry. Once it has closed it may be opened again: a socket costs as much as its traffic. */
class RegistryConnection {
  onAnswer: (text: string) => void = () => {};
  readonly #socket: Socket;
  #text = '';
  #isOpen = false;

  constructor(closed: (connection: RegistryConnection) => void) {
    const callback = (length: number): boolean => {
      this.onAnswer(scratch.toString('latin1', 0, length));
      return true;
    };
    const options: SocketConstructorOpts & ConnectOpts = { onread: { buffer: scratch, callback } };
    this.#socket = new Socket(options);
    this.#socket.on('connect', () => this.#socket.write(this.#text, 'latin1'));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.#isOpen = false;
      closed(this);
    });
  }

  ask(text: string): void {
    this.#text = text;
    if (this.#isOpen) {
      this.#socket.write(text, 'latin1');
      return;
    }
    this.#isOpen = true;
    this.#socket.connect({ host: '127.0.0.1', port: settings.port, autoSelectFamily: false });
  }

  close(): void {
    this.#socket.destroy();
  }
}

const spare: RegistryConnection[] = [];
const takeConnection = (): RegistryConnection =>
  spare.pop() ?? new RegistryConnection((connection) => void spare.push(connection));

const post = (path: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${settings.port}\r\nconnection: keep-alive\r\ncontent-type: application/json\r\n` +
  `authorization: Bearer ${SECRET}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

/** Heartbeat-2: the instance closes first. */
function beat(member: Member): void {
  const { seq, nonce, id } = member;
  member.seq = seq + 1;
  const isLast = settings.freshEvery === 1 || seq % settings.freshEvery === settings.freshEvery - 1;
  const connection = member.kept ?? takeConnection();
  member.kept = isLast ? null : connection;
  sent += 1;
  const at = performance.now();
  connection.onAnswer = (text) => {
    if (text.startsWith('HTTP/1.1 200')) beats += 1;
    answered += 1;
    roundTrips.push(performance.now() - at);
    if (isLast) connection.close();
  };
  connection.ask(post(`/api/v1/instances/${id}/heartbeat`, `{"nonce":${nonce},"seq":${seq}}`));
}

/** Every instance beats once an interval, evenly spread. */
let beatTimer: NodeJS.Timeout | undefined;
function startBeating(): void {
  let next = 0;
  let dueBeats = 0;
  let at = performance.now();
  beatTimer = setInterval(() => {
    const now = performance.now();
    // a real crowd does not stop and continue all at once: beats that are late by a few ticks are left out
    dueBeats += (Math.min(now - at, MAX_TICKS * TICK_MS) / settings.intervalMs) * settings.count;
    at = now;
    for (; dueBeats >= 1; dueBeats -= 1) {
      const member = members[next];
      next = (next + 1) % settings.count;
      if (member?.isRegistered === true) beat(member);
    }
  }, TICK_MS);
}

function register(connection: RegistryConnection, index: number, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.onAnswer = (text) => {
      if (text.startsWith('HTTP/1.1 201')) resolve();
      else reject(new Error(text.slice(0, 600)));
    };
    const endpoints = [{ protocol: settings.protocol, host: hostOf(index), port }];
    const registration = { id: idOf(index), secret: SECRET, service: `crowd-${index % SERVICES}`, endpoints };
    connection.ask(post('/api/v1/register', JSON.stringify(registration)));
  });
}

/** Over two intervals: a burst is a different question. */
async function registerAll(port: number): Promise<void> {
  let next = 0;
  const startedAt = performance.now();
  const worker = async (): Promise<void> => {
    const connection = new RegistryConnection(() => {});
    while (next < settings.count) {
      const index = next;
      next += 1;
      const dueAt = startedAt + (2 * settings.intervalMs * index) / settings.count;
      await new Promise((resolve) => setTimeout(resolve, dueAt - performance.now()));
      await register(connection, index, port);
      const member = members[index];
      if (member !== undefined) member.isRegistered = true;
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: REGISTRATIONS_AT_ONCE }, worker));
}

const port = await new Promise<number>((resolve) => {
  server.listen({ port: 0, host: '0.0.0.0', backlog: 4_096 }, () => {
    const address = server.address();
    resolve(typeof address === 'object' && address !== null ? address.port : 0);
  });
});

answerQuestions({
  /** Resolves when all instances are registered; they beat from then on. */
  start: async (newSettings: Settings) => {
    settings = newSettings;
    for (let index = 0; index < settings.count; index += 1) {
      members.push({
        id: idOf(index),
        nonce: 'null',
        seq: 0,
        isRegistered: !settings.registers,
        kept: null,
        calledAt: Number.NaN,
      });
    }
    startBeating();
    if (settings.registers) await registerAll(port);
    return null;
  },
  /** The successful heartbeats of each direction so far, and the CPU time of this process. */
  count: async () => ({ calls, beats, cpu: process.cpuUsage(), at: performance.now() }),
  /** Since the last call; `unanswered`: so far, including those in flight. */
  punctuality: async () => {
    const measured = { roundTrips, delays, unanswered: sent - answered };
    roundTrips = [];
    delays = [];
    return measured;
  },
  stop: async () => {
    clearInterval(beatTimer);
    return null;
  },
});
process.send?.(String(port));
