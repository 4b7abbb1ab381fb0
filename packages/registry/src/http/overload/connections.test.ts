import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { describe, expect, it } from 'vitest';
import { Connections } from './connections.js';

let port = 10_000;

/** A socket as far as it matters: from where it comes, and that it closes once it is destroyed. */
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
    // as Node does it: not at once
    queueMicrotask(() => this.emit('close'));
  }
}

function room(most: number, isSecure = false) {
  const time = new ManualTime();
  const log = recordingLog();
  const server = new EventEmitter();
  new Connections({ time, log, most, isSecure }).follow(server as unknown as Server);
  const enter = (address: string): FakeSocket => {
    const socket = new FakeSocket(address);
    server.emit('connection', socket);
    return socket;
  };
  /** Headers have come; with a `length`, the body is still to come. */
  const ask = (socket: EventEmitter, length = 0) => {
    const request = Object.assign(new EventEmitter(), { socket, headers: { 'content-length': String(length) } });
    const response = new EventEmitter();
    server.emit('request', request, response);
    return { bodyIsHere: () => request.emit('end'), answered: () => response.emit('close') };
  };
  return { time, log, server, enter, ask };
}

const CROWD = '10.0.0.9';
const SOMEBODY = '10.0.0.5';
const openOf = (sockets: readonly FakeSocket[]): readonly boolean[] => sockets.map(({ isOpen }) => isOpen);

describe('when all connections are taken, a newcomer takes the place', () => {
  it('of the one that has waited longest', () => {
    const { enter } = room(2);
    const sockets = [enter(CROWD), enter(CROWD), enter(CROWD), enter(CROWD)];
    expect(openOf(sockets)).toEqual([false, false, true, true]);
  });

  it('of the source that has most of those that wait, whoever came first', () => {
    const { enter } = room(4);
    const mine = enter(SOMEBODY);
    const theirs = [enter(CROWD), enter(CROWD), enter(CROWD)];
    const newcomer = enter('10.0.0.6');
    expect(openOf([mine, newcomer])).toEqual([true, true]);
    expect(openOf(theirs)).toEqual([false, true, true]);
  });

  it('of no one that has asked something, until it is answered', () => {
    const { enter, ask } = room(2);
    const [stream, poll] = [enter(CROWD), enter(CROWD)];
    ask(stream);
    const asked = ask(poll);
    const third = enter(SOMEBODY);
    ask(third);
    expect(openOf([stream, poll, third])).toEqual([true, true, true]);
    asked.answered();
    enter(SOMEBODY);
    expect(openOf([stream, poll, third])).toEqual([true, false, true]);
  });

  it('of one whose body does not end, and not of one whose body is here', () => {
    const { enter, ask } = room(2);
    const [slow, whole] = [enter(CROWD), enter(CROWD)];
    ask(slow, 10);
    ask(whole, 10).bodyIsHere();
    enter(SOMEBODY);
    expect(openOf([slow, whole])).toEqual([false, true]);
  });

  it('of the crowd that is left, when the largest has gone', () => {
    const { enter } = room(5);
    const first = [enter(CROWD), enter(CROWD), enter(CROWD)];
    const second = [enter(SOMEBODY), enter(SOMEBODY)];
    for (const socket of first) socket.emit('close');
    const more = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'].map(enter);
    expect(openOf(second)).toEqual([false, true]);
    expect(openOf(more)).toEqual([true, true, true, true]);
  });
});

it('connections that close make room', () => {
  const { enter } = room(2);
  const first = enter(CROWD);
  const second = enter(CROWD);
  first.emit('close');
  const third = enter(CROWD);
  expect(openOf([second, third])).toEqual([true, true]);
});

it('over TLS, a request that comes over the second socket is one of the connection', () => {
  const { enter, ask, server } = room(2, true);
  const raw = enter(CROWD);
  const secure = new EventEmitter();
  server.emit('secureConnection', Object.assign(secure, { remoteAddress: CROWD, remotePort: raw.remotePort }));
  ask(secure);
  const others = [enter(CROWD), enter(CROWD)];
  expect(openOf([raw, ...others])).toEqual([true, false, true]);
});

it('over TLS, looks at no other connection when a handshake is over', () => {
  const { enter, server } = room(1_000, true);
  const others = Array.from({ length: 500 }, () => enter(CROWD));
  const raw = enter(CROWD);
  for (const other of others) other.timesAsked = 0;
  const { remotePort } = raw;
  server.emit('secureConnection', Object.assign(new EventEmitter(), { remoteAddress: CROWD, remotePort }));
  expect(others.some(({ timesAsked }) => timesAsked > 0)).toBe(false);
});

it('tells the log once a minute, and how often', () => {
  const { enter, log, time } = room(1);
  for (let index = 0; index < 100; index += 1) enter(CROWD);
  expect(log.texts('warn')).toHaveLength(1);
  time.advance(60_000);
  enter(CROWD);
  expect(log.texts('warn')).toHaveLength(2);
  expect(log.texts('warn')[1]).toMatch(/has 1 connections.*first of 10\.0\.0\.9.*\(98 times more/);
});
