import { EventEmitter, once } from 'node:events';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { beat, CALL, PATH, world } from '../nest.fixture.js';
import { RollcallAgent } from '../registration/agent.js';
import { admitInTurn, openOwnDoor } from './own-port.js';
import type { ServerHost } from './server-adapter.js';

const MOST = 64;
const WITHIN_20_S = { timeout: 20_000 };
/** A head that never ends, a request whose body never does, and nothing at all. */
const HALF = `POST ${PATH} HTTP/1.1\r\nhost: localhost\r\n`;
const BODILESS = `${HALF}content-length: 100\r\n\r\n{`;

const ANSWER = { instance: 'orders-1', nonce: CALL.nonce };
const KEEPER: Partial<ServerHost> = { id: 'orders-1', answer: () => ({ answer: ANSWER, closes: false, keeps: true }) };

/** Its patience is short. */
async function hasty(patienceMs = 100): Promise<number> {
  const door = await openOwnDoor(KEEPER as ServerHost, { host: '127.0.0.1', port: 0 }, patienceMs);
  onTestFinished(() => door.close());
  return door.endpoint.port;
}

async function ownPort(): Promise<number> {
  const here = await world({ service: 'orders', register: 'manual' });
  const app = await here.module.init();
  onTestFinished(() => app.close());
  await app.get(RollcallAgent).register();
  return here.rollcall.port;
}

/** Opens this many foreign connections, which send `words` and wait. */
async function crowd(port: number, count: number, words = ''): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, '127.0.0.1').on('error', () => {}));
  onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  for (const socket of sockets) socket.resume().write(words);
  return sockets;
}

const openOf = (sockets: readonly Socket[]): number => sockets.filter(({ closed }) => !closed).length;

describe('the port for heartbeats answers the registry', () => {
  it.each([
    [MOST, 'say nothing', ''],
    [200, 'say nothing', ''],
    [200, 'end no head', HALF],
    [200, 'end no body', BODILESS],
    [200, 'have asked, and stay', `GET /.well-known/rollcall/ready HTTP/1.1\r\nhost: localhost\r\n\r\n`],
  ])('while %i foreign clients %s', async (count, _, words) => {
    const port = await ownPort();
    const strangers = await crowd(port, count, words);
    for (let round = 0; round < 3; round += 1) {
      const response = await beat(port);
      expect([response.status, await response.json()]).toEqual([200, ANSWER]);
    }
    await expect.poll(() => openOf(strangers), WITHIN_20_S).toBeLessThan(MOST);
  });

  it('while 200 foreign clients send their heads byte by byte', async () => {
    const port = await ownPort();
    const strangers = await crowd(port, 200, HALF);
    const trickle = setInterval(() => strangers.forEach((socket) => socket.write('x')), 10);
    onTestFinished(() => clearInterval(trickle));
    for (let round = 0; round < 10; round += 1) expect((await beat(port)).status).toBe(200);
  });
});

describe('the port for heartbeats closes the connection of a client by itself', () => {
  it.each([
    ['if it sends nothing', ''],
    ['if it does not end its head', HALF],
    ['if it does not end its body', BODILESS],
  ])('%s', async (_, words) => {
    const port = await hasty();
    const strangers = await crowd(port, 3, words);
    await expect.poll(() => openOf(strangers), WITHIN_20_S).toBe(0);
  });

  it('if it sends its head byte by byte', async () => {
    const port = await hasty();
    const [stranger] = await crowd(port, 1, HALF);
    const trickle = setInterval(() => stranger?.write('x'), 10);
    onTestFinished(() => clearInterval(trickle));
    await expect.poll(() => stranger?.closed, WITHIN_20_S).toBe(true);
  });
});

it('the port for heartbeats keeps a connection for the next one beyond that', async () => {
  const port = await hasty(1_000);
  const call = `${HALF}content-length: 2\r\n\r\n{}`;
  const [registry] = await crowd(port, 1, call);
  if (registry === undefined) throw new Error('nobody came');
  for (let round = 0; round < 2; round += 1) {
    const [answer] = await once(registry, 'data');
    expect(String(answer)).toContain('200 OK');
    const strangers = await crowd(port, 1);
    await expect.poll(() => openOf(strangers), WITHIN_20_S).toBe(0);
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
  const [CROWD, REGISTRY] = ['10.0.0.9', '10.0.0.5'];

  it('takes the place of the one that has waited longest', () => {
    const { enter } = room(2);
    expect(open([enter(CROWD), enter(CROWD), enter(CROWD), enter(CROWD)])).toEqual([false, false, true, true]);
  });

  it('takes a place of the source with the most connections, in any order of arrival', () => {
    const { enter } = room(3);
    const kept = enter(REGISTRY);
    const strangers = Array.from({ length: 20 }, () => enter(CROWD));
    expect(kept.isOpen).toBe(true);
    expect(strangers.filter(({ isOpen }) => isOpen)).toHaveLength(2);
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
    const [first, second] = [enter(CROWD), enter(CROWD)];
    first.emit('close');
    answer(first);
    expect(open([second, enter(CROWD)])).toEqual([true, true]);
  });

  it('keeps the process alive no more than the port itself', () => {
    expect(room(2).enter(CROWD).holdsProcess).toBe(false);
  });
});
