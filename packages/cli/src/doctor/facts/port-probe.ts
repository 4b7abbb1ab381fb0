import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as secureConnect } from 'node:tls';
import {
  addressOf,
  encodeFrame,
  FrameDecoder,
  HEARTBEAT_PATH,
  HEARTBEAT_PATTERN,
  messageOf,
  sleep,
  systemTime,
} from '@rollcall/core';
import type { Endpoint } from '@rollcall/core';
import { textAt } from '../../registry/json.js';
import type { PortProbe } from './facts.js';
import { codeOf } from './http-probe.js';

/** The timeout of an answer, ms. */
const TIMEOUT_MS = 2_000;
/** The maximum size of an answer. */
const MAX_BYTES = 16_384;

/** Tries of an address that does not answer; one fewer if it is silent, as that takes longer. */
const TRIES = 3;
const RETRY_AFTER_MS = 150;

const isFailed = ({ outcome }: PortProbe): boolean => ['refused', 'silent', 'failed', 'untried'].includes(outcome);

/** Probes the address of an instance until it answers, at most three times; the text lists each try. Never rejects. */
export async function probePort(id: string, endpoint: Endpoint): Promise<PortProbe> {
  let result = await probePortOnce(id, endpoint);
  const texts = [result.text];
  for (let remaining = TRIES - 1; remaining > 0 && isFailed(result); remaining -= result.outcome === 'silent' ? 2 : 1) {
    await sleep(systemTime, RETRY_AFTER_MS);
    result = await probePortOnce(id, endpoint);
    texts.push(result.text);
  }
  return new Set(texts).size === 1 ? result : { ...result, text: texts.join('; then: ') };
}

/**
 * Connects to the address of an instance and requests its id, as callers do before their first call: with a Heartbeat-1
 * without a nonce, which proves nothing. Over gRPC, and over TLS, whose certificates are not verified here, it only
 * connects. Never rejects.
 */
function probePortOnce(id: string, endpoint: Endpoint): Promise<PortProbe> {
  return new Promise((resolve) => {
    const { host, port, tls } = endpoint;
    let isConnected = false;
    const received: Buffer[] = [];
    const socket: Socket = tls
      ? secureConnect({ host, port, rejectUnauthorized: false })
      : connect({ host, port, autoSelectFamily: false });
    const settle = (outcome: PortProbe['outcome'], text: string): void => {
      socket.destroy();
      resolve({ endpoint, outcome, text });
    };
    socket.setTimeout(TIMEOUT_MS, () =>
      settle(
        'silent',
        `${isConnected ? 'it accepts the connection and sends nothing' : 'no answer to the connection'} within ${TIMEOUT_MS} ms`,
      ),
    );
    socket.on('error', (error) => settle(outcomeOf(error), messageOf(error) || codeOf(error)));
    socket.on('close', () => {
      if (received.length > 0) settle(...identify(id, ''));
      else settle('failed', `${addressOf(endpoint)} closed the connection without an answer`);
    });
    socket.on(tls ? 'secureConnect' : 'connect', () => {
      isConnected = true;
      const request = tls ? null : REQUESTS[endpoint.protocol]?.(endpoint);
      if (request === null || request === undefined) return settle('open', 'it takes connections');
      socket.on('data', (bytes) => {
        received.push(bytes);
        const answer = Buffer.concat(received);
        const found = READERS[endpoint.protocol]?.(answer) ?? (answer.length > MAX_BYTES ? '' : null);
        if (found !== null) settle(...identify(id, found));
      });
      socket.write(request);
    });
  });
}

function identify(id: string, found: string): [PortProbe['outcome'], string] {
  if (found === id) return ['itself', `it says that it is ${id}`];
  return [
    'another',
    found === '' ? 'a process answers that does not report an instance id' : `it says that it is ${found}`,
  ];
}

function outcomeOf(error: unknown): PortProbe['outcome'] {
  const code = codeOf(error);
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'EMFILE' || code === 'ENFILE') return 'untried';
  return code === 'ETIMEDOUT' ? 'silent' : 'failed';
}

type Protocol = Endpoint['protocol'];

const http = (endpoint: Endpoint): string =>
  `POST ${HEARTBEAT_PATH} HTTP/1.1\r\nhost: ${addressOf(endpoint)}\r\ncontent-type: application/json\r\n` +
  'content-length: 2\r\nconnection: close\r\n\r\n{}';

const REQUESTS: Partial<Readonly<Record<Protocol, (endpoint: Endpoint) => string | Uint8Array>>> = {
  tcp: () => encodeFrame({ pattern: HEARTBEAT_PATTERN, data: {}, id: 'doctor' }),
  http,
  heartbeat: http,
};

/** Reads the id from an answer: empty if there is none; null: the answer is incomplete. */
const READERS: Partial<Readonly<Record<Protocol, (received: Buffer) => string | null>>> = {
  tcp: readTcp,
  http: readHttp,
  heartbeat: readHttp,
};

function readTcp(received: Buffer): string | null {
  const { frames, failure } = new FrameDecoder().push(received);
  const [frame] = frames;
  if (frame === undefined) return failure === null ? null : '';
  return textAt(frame, 'response', 'instance')?.slice(0, 128) ?? '';
}

/** A sidecar may cut the answer into chunks, so its JSON is not read as a whole. */
function readHttp(received: Buffer): string | null {
  const text = received.toString('utf8');
  const isAnswer = 'HTTP/1.1 200'.startsWith(text.slice(0, 12));
  return isAnswer ? (/"instance"\s*:\s*"([\w.~-]{1,128})"/.exec(text)?.[1] ?? null) : '';
}
