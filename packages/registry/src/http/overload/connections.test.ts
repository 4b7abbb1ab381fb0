import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { describe, expect, it } from 'vitest';
import { Connections } from './connections.js';

let port = 10_000;

/** A minimal socket: it has a remote address, and emits `close` once destroyed. */
class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  readonly #port = (port += 1);
  timesAsked = 0;
  isOpen = true;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  get remotePort(): number {
    this.timesAsked += 1;
    return this.#port;
  }

  destroy(): void {
    this.isOpen = false;
    // asynchronous, as in Node
    queueMicrotask(() => this.emit('close'));
  }
}

function room(max: number, isSecure = false) {
  const time = new ManualTime();
  const log = recordingLog();
  const server = new EventEmitter();
  new Connections({ time, log, max, isSecure }).follow(server as unknown as Server);
  const enter = (address: string): FakeSocket => {
    const socket = new FakeSocket(address);
    server.emit('connection', socket);
    return socket;
  };
  /** The headers have arrived; with a `length`, the body follows. */
  const ask = (socket: EventEmitter, length = 0) => {
    const request = Object.assign(new EventEmitter(), { socket, headers: { 'content-length': String(length) } });
    const response = new EventEmitter();
    server.emit('request', request, response);
    return { bodyIsHere: () => request.emit('end'), answered: () => response.emit('close') };
  };
  return { time, log, server, enter, ask };
}

const CROWD = '10.0.0.9';
const SOURCE = '10.0.0.5';
const openOf = (sockets: readonly FakeSocket[]): readonly boolean[] => sockets.map(({ isOpen }) => isOpen);

describe('at the limit, a new connection', () => {
  it('replaces the one that has waited longest', () => {
    const { enter } = room(2);
    const sockets = [enter(CROWD), enter(CROWD), enter(CROWD), enter(CROWD)];
    expect(openOf(sockets)).toEqual([false, false, true, true]);
  });

  it('replaces one of the source with most waiting ones, regardless of age', () => {
    const { enter } = room(4);
    const mine = enter(SOURCE);
    const theirs = [enter(CROWD), enter(CROWD), enter(CROWD)];
    const newcomer = enter('10.0.0.6');
    expect(openOf([mine, newcomer])).toEqual([true, true]);
    expect(openOf(theirs)).toEqual([false, true, true]);
  });

  it('replaces none with a request under way, until that is answered', () => {
    const { enter, ask } = room(2);
    const [stream, poll] = [enter(CROWD), enter(CROWD)];
    ask(stream);
    const request = ask(poll);
    const third = enter(SOURCE);
    ask(third);
    expect(openOf([stream, poll, third])).toEqual([true, true, true]);
    request.answered();
    enter(SOURCE);
    expect(openOf([stream, poll, third])).toEqual([true, false, true]);
  });

  it('replaces one with an incomplete body, and none with a complete one', () => {
    const { enter, ask } = room(2);
    const [slow, whole] = [enter(CROWD), enter(CROWD)];
    ask(slow, 10);
    ask(whole, 10).bodyIsHere();
    enter(SOURCE);
    expect(openOf([slow, whole])).toEqual([false, true]);
  });

  it('replaces one of the next source when the largest has no more waiting ones', () => {
    const { enter } = room(5);
    const first = [enter(CROWD), enter(CROWD), enter(CROWD)];
    const second = [enter(SOURCE), enter(SOURCE)];
    for (const socket of first) socket.emit('close');
    const more = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'].map(enter);
    expect(openOf(second)).toEqual([false, true]);
    expect(openOf(more)).toEqual([true, true, true, true]);
  });
});

it('frees the place of a closed connection', () => {
  const { enter } = room(2);
  const first = enter(CROWD);
  const second = enter(CROWD);
  first.emit('close');
  const third = enter(CROWD);
  expect(openOf([second, third])).toEqual([true, true]);
});

it('assigns a request on the second socket of TLS to its connection', () => {
  const { enter, ask, server } = room(2, true);
  const raw = enter(CROWD);
  const secure = new EventEmitter();
  server.emit('secureConnection', Object.assign(secure, { remoteAddress: CROWD, remotePort: raw.remotePort }));
  ask(secure);
  const others = [enter(CROWD), enter(CROWD)];
  expect(openOf([raw, ...others])).toEqual([true, false, true]);
});

it('affects no other connection by a finished handshake', () => {
  const { enter, server } = room(1_000, true);
  const others = Array.from({ length: 500 }, () => enter(CROWD));
  const raw = enter(CROWD);
  for (const other of others) other.timesAsked = 0;
  const { remotePort } = raw;
  server.emit('secureConnection', Object.assign(new EventEmitter(), { remoteAddress: CROWD, remotePort }));
  expect(others.some(({ timesAsked }) => timesAsked > 0)).toBe(false);
});

it('logs once a minute, with the number of times', () => {
  const { enter, log, time } = room(1);
  for (let index = 0; index < 100; index += 1) enter(CROWD);
  expect(log.texts('warn')).toHaveLength(1);
  time.advance(60_000);
  enter(CROWD);
  expect(log.texts('warn')).toHaveLength(2);
  expect(log.texts('warn')[1]).toMatch(/has 1 connections.*first of 10\.0\.0\.9.*\(98 times more/);
});
