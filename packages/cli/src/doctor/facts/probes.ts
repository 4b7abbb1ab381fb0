import { get as plainGet } from 'node:http';
import { get as secureGet } from 'node:https';
import { messageOf, sleep, systemTime } from '@rollcall/core';
import type { ProbeFailure, StreamFacts } from './facts.js';
import { codeOf } from './http-probe.js';
import type { RegistryProbe } from './http-probe.js';

/** The time for which a change feed is held. */
const STREAM_MS = 2_500;
const RETRY_AFTER_MS = 100;

/**
 * Asks for an answer of more than 64 KiB: the script of the dashboard, which is for anyone. Null: it arrived, or this
 * registry has none.
 */
export async function probeLargeAnswer(probe: RegistryProbe): Promise<ProbeFailure | null> {
  const page = await probe.getText('/');
  const script = /src="\.\/(assets\/[\w-]+\.js)"/.exec(page ?? '')?.[1];
  if (script === undefined) return null;
  const result = await probe.get(`/${script}`);
  return result.kind === 'failure' ? result : null;
}

/**
 * Holds a change feed for 2.5 s and checks that it arrives and lasts. After a failure it tries once more, and the
 * second try counts: a single lost packet or connection does not prove a problem of streams. `holdMs`: the duration of
 * each try. Never rejects.
 */
export async function probeStream(probe: RegistryProbe, holdMs = STREAM_MS): Promise<StreamFacts> {
  const first = await holdStream(probe, holdMs);
  if (first.outcome === 'held') return first;
  await sleep(systemTime, RETRY_AFTER_MS);
  return holdStream(probe, holdMs);
}

function holdStream(probe: RegistryProbe, holdMs: number): Promise<StreamFacts> {
  const isSecure = probe.url.startsWith('https:');
  const get = isSecure ? secureGet : plainGet;
  const startedAt = systemTime.now();
  return new Promise((resolve) => {
    let isSettled = false;
    let isConnected = false;
    let isOpen = false;
    const settle = (outcome: StreamFacts['outcome'], text: string): void => {
      if (isSettled) return;
      isSettled = true;
      timer.cancel();
      request.destroy();
      resolve({ outcome, afterMs: Math.round(systemTime.now() - startedAt), text });
    };
    const request = get(
      `${probe.url}/api/v1/watch?service=*&namespace=*`,
      { ...probe.options, agent: false },
      (response) => {
        response.resume();
        if (response.statusCode !== 200) {
          settle('refused', `it is answered with ${response.statusCode}`);
          return;
        }
        isOpen = true;
        response.on('error', (error) => settle('ended', messageOf(error)));
        response.on('close', () => settle('ended', 'the connection was closed'));
      },
    );
    request.on('socket', (socket) => {
      socket.once(isSecure ? 'secureConnect' : 'connect', () => {
        isConnected = true;
      });
    });
    request.on('error', (error) => settle(isOpen ? 'ended' : 'refused', messageOf(error) || codeOf(error)));
    const timer = systemTime.setTimer(holdMs, () => {
      if (isOpen) settle('held', 'it lasts');
      else if (isConnected) settle('silent', `no answer within ${holdMs} ms`);
      else settle('refused', `no connection within ${holdMs} ms`);
    });
  });
}
