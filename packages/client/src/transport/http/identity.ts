import { addressOf, HEARTBEAT_PATH } from '@rollcall/core';
import type { Socket } from 'node:net';
import { identityFailure } from '../identity.js';
import type { Failure, Target } from '../transport.js';

/** The maximum size of an answer, which has a few lines. */
const MAX_CHARACTERS = 16_384;

/**
 * Checks the identity of the peer of a fresh connection, before its first request: a server without Rollcall would ignore the header and
 * execute the request. `done` is called once, with null if the peer is the expected instance; then the connection can be used as a new one.
 */
export function askIdentity(socket: Socket, target: Target, done: (failure: Failure | null) => void): void {
  let text = '';
  const finish = (failure: Failure | null): void => {
    socket.off('data', receive);
    socket.off('close', broken);
    socket.pause();
    done(failure);
  };
  const receive = (chunk: Uint8Array): void => {
    text += Buffer.from(chunk).toString('latin1');
    const answer = readAnswer(text);
    if (answer !== null) finish(answer.isKept ? identityFailure(target, answer.body) : goodbye(target));
    else if (text.length > MAX_CHARACTERS) finish(identityFailure(target, null));
  };
  const broken = (): void => finish(goodbye(target));
  socket.on('data', receive);
  socket.on('close', broken);
  const head = `POST ${HEARTBEAT_PATH} HTTP/1.1\r\nhost: ${addressOf(target.endpoint)}\r\ncontent-type: application/json`;
  socket.write(`${head}\r\ncontent-length: 2\r\n\r\n{}`);
}

function goodbye(target: Target): Failure {
  const text = `${addressOf(target.endpoint)} closed the connection at the identity check`;
  return { kind: 'unsent', cause: new Error(text) };
}

interface IdentityAnswer {
  readonly body: unknown;
  /** True if the connection can be used for requests. */
  readonly isKept: boolean;
}

/** Null: the answer is not complete. Any other answer than status 200 with a body of known length counts as that of another process. */
function readAnswer(text: string): IdentityAnswer | null {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = text.slice(0, end + 2);
  const length = /\r\ncontent-length: *(\d{1,5})\r\n/i.exec(head)?.[1];
  if (!head.startsWith('HTTP/1.1 200 ') || length === undefined) return { body: null, isKept: true };
  const body = text.slice(end + 4);
  if (body.length < Number(length)) return null;
  return { body: parse(body.slice(0, Number(length))), isKept: !/\r\nconnection: *close\r\n/i.test(head) };
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
