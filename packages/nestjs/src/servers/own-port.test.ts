import { EventEmitter, once } from 'node:events';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { beat, CALL, PATH, createFixture } from '../nest.fixture.js';
import { RollcallAgent } from '../registration/agent.js';
import { admitInTurn, openOwnPort } from './own-port.js';
import type { ServerHost } from './server-adapter.js';

const MAX_CONNECTIONS = 64;
const WITHIN_20_S = { timeout: 20_000 };
/** A head that never ends, a request whose body never does, and nothing at all. */
const HALF = `POST ${PATH} HTTP/1.1\r\nhost: localhost\r\n`;
const BODILESS = `${HALF}content-length: 100\r\n\r\n{`;

const ANSWER = { instance: 'orders-1', nonce: CALL.nonce };
const SERVER_HOST: Partial<ServerHost> = {
  id: 'orders-1',
  answer: () => ({ answer: ANSWER, closes: false, keeps: true }),
};

/** Its patience is short. */
async function openImpatientPort(patienceMs = 100): Promise<number> {
  const port = await openOwnPort(SERVER_HOST as ServerHost, { host: '127.0.0.1', port: 0 }, patienceMs);
  onTestFinished(() => port.close());
  return port.endpoint.port;
}

async function ownPort(): Promise<number> {
  const fixture = await createFixture({ service: 'orders', register: 'manual' });
  const app = await fixture.module.init();
  onTestFinished(() => app.close());
  await app.get(RollcallAgent).register();
  return fixture.rollcall.port;
}

/** Opens this many foreign connections, which send `bytes` and wait. */
async function openConnections(port: number, count: number, bytes = ''): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => {}));
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (const socket of sockets) socket.resume().write(bytes);
  return sockets;
}

const openOf = (sockets: readonly Socket[]): number => sockets.filter(({ closed }) => !closed).length;

describe('the port for heartbeats', () => {
  it.each([
    [MAX_CONNECTIONS, 'send nothing', ''],
    [200, 'send nothing', ''],
    [200, 'end no head', HALF],
    [200, 'end no body', BODILESS],
    [200, 'have got an answer, and stay', `GET /.well-known/rollcall/ready HTTP/1.1\r\nhost: localhost\r\n\r\n`],
  ])('answers the registry while %i foreign clients %s', async (count, _, bytes) => {
    const port = await ownPort();
    const connections = await openConnections(port, count, bytes);
    for (let round = 0; round < 3; round += 1) {
      const response = await beat(port);
      expect([response.status, await response.json()]).toEqual([200, ANSWER]);
    }
    await expect.poll(() => openOf(connections), WITHIN_20_S).toBeLessThan(MAX_CONNECTIONS);
  });

  it('answers the registry while 200 foreign clients send their heads byte by byte', async () => {
    const port = await ownPort();
    const connections = await openConnections(port, 200, HALF);
    const trickle = setInterval(() => connections.forEach((socket) => socket.write('x')), 10);
    onTestFinished(() => clearInterval(trickle));
    for (let round = 0; round < 10; round += 1) expect((await beat(port)).status).toBe(200);
  });
});

describe('the port for heartbeats', () => {
  it.each([
    ['sends nothing', ''],
    ['does not end its head', HALF],
    ['does not end its body', BODILESS],
  ])('closes the connection of a client that %s', async (_, bytes) => {
    const port = await openImpatientPort();
    const connections = await openConnections(port, 3, bytes);
    await expect.poll(() => openOf(connections), WITHIN_20_S).toBe(0);
  });

  it('closes the connection of a client that sends its head byte by byte', async () => {
    const port = await openImpatientPort();
    const [connection] = await openConnections(port, 1, HALF);
    const trickle = setInterval(() => connection?.write('x'), 10);
    onTestFinished(() => clearInterval(trickle));
    await expect.poll(() => connection?.closed, WITHIN_20_S).toBe(true);
  });
});

it('the port for heartbeats keeps a connection for the next one beyond that', async () => {
  const port = await openImpatientPort(1_000);
  const call = `${HALF}content-length: 2\r\n\r\n{}`;
  const [registry] = await openConnections(port, 1, call);
  if (registry === undefined) throw new Error('no connection arrived');
  for (let round = 0; round < 2; round += 1) {
    const [answer] = await once(registry, 'data');
    expect(String(answer)).toContain('200 OK');
    const connections = await openConnections(port, 1);
    await expect.poll(() => openOf(connections), WITHIN_20_S).toBe(0);
    registry.write(call);
  }
});

/** A socket as far as it matters. */
class FakeSocket extends EventEmitter {
  isOpen = true;
  holdsProcess = true;

  constructor(readonly remoteAddress: string) {
    super();
  }

  unref(): void {
    this.holdsProcess = false;
  }

  destroy(): void {
    this.isOpen = false;
    queueMicrotask(() => this.emit('close')); // as Node does it: not at once
  }
}

const open = (sockets: readonly FakeSocket[]): readonly boolean[] => sockets.map(({ isOpen }) => isOpen);

function room(max: number) {
  const server = new EventEmitter();
  admitInTurn(server as Server, max);
  const enter = (address: string): FakeSocket => {
    const socket = new FakeSocket(address);
    server.emit('connection', socket);
    return socket;
  };
  const answer = (socket: FakeSocket): void => {
    const response = new EventEmitter();
    server.emit('request', { socket }, response);
    response.emit('finish');
  };
  return { enter, answer };
}

describe('if all connections are taken, a new connection', () => {
  const [CLIENT, REGISTRY] = ['10.0.0.9', '10.0.0.5'];

  it('takes the place of the one that has waited longest', () => {
    const { enter } = room(2);
    expect(open([enter(CLIENT), enter(CLIENT), enter(CLIENT), enter(CLIENT)])).toEqual([false, false, true, true]);
  });

  it('takes a place of the source with the most connections, in any order of arrival', () => {
    const { enter } = room(3);
    const kept = enter(REGISTRY);
    const connections = Array.from({ length: 20 }, () => enter(CLIENT));
    expect(kept.isOpen).toBe(true);
    expect(connections.filter(({ isOpen }) => isOpen)).toHaveLength(2);
  });

  it('takes the place of one that was answered only after those that were not', () => {
    const { enter, answer } = room(2);
    const [first, second] = [enter(REGISTRY), enter(REGISTRY)];
    answer(first);
    enter(REGISTRY);
    expect(open([first, second])).toEqual([true, false]);
  });

  it('takes the place of none once one has closed', () => {
    const { enter, answer } = room(2);
    const [first, second] = [enter(CLIENT), enter(CLIENT)];
    first.emit('close');
    answer(first);
    expect(open([second, enter(CLIENT)])).toEqual([true, true]);
  });

  it('keeps the process alive no more than the port itself', () => {
    expect(room(2).enter(CLIENT).holdsProcess).toBe(false);
  });
});
