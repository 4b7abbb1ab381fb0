import { get as plainGet } from 'node:http';
import { get as secureGet } from 'node:https';
import { messageOf, sleep, systemTime } from '@rollcall/core';
import type { Failure, StreamFacts } from './facts.js';
import { codeOf } from './http-probe.js';
import type { Asker } from './http-probe.js';

/** The time for which a change feed is held. */
const STREAM_MS = 2_500;
const RETRY_AFTER_MS = 100;

/**
 * Asks for an answer of more than 64 KiB: the script of the dashboard, which is for anyone. Null: it arrived, or this
 * registry has none.
 */
export async function largeAnswer(asker: Asker): Promise<Failure | null> {
  const page = await asker.pageText('/');
  const script = /src="\.\/(assets\/[\w-]+\.js)"/.exec(page ?? '')?.[1];
  if (script === undefined) return null;
  const asked = await asker.ask(`/${script}`);
  return asked.kind === 'failure' ? asked : null;
}

/**
 * Holds a change feed for 2.5 s and checks that it arrives and lasts. After a failure it tries once more, and the
 * second try counts: a single lost packet or connection does not prove a problem of streams. `holdMs`: the duration of
 * each try. Never rejects.
 */
export async function streamOf(asker: Asker, holdMs = STREAM_MS): Promise<StreamFacts> {
  const first = await holdStream(asker, holdMs);
  if (first.outcome === 'held') return first;
  await sleep(systemTime, RETRY_AFTER_MS);
  return holdStream(asker, holdMs);
}

function holdStream(asker: Asker, holdMs: number): Promise<StreamFacts> {
  const isSecure = asker.url.startsWith('https:');
  const get = isSecure ? secureGet : plainGet;
  const beganAt = systemTime.now();
  return new Promise((resolve) => {
    let isOver = false;
    let isConnected = false;
    let isOpen = false;
    const done = (outcome: StreamFacts['outcome'], text: string): void => {
      if (isOver) return;
      isOver = true;
      timer.cancel();
      asked.destroy();
      resolve({ outcome, afterMs: Math.round(systemTime.now() - beganAt), text });
    };
    const asked = get(
      `${asker.url}/api/v1/watch?service=*&namespace=*`,
      { ...asker.options, agent: false },
      (response) => {
        response.resume();
        if (response.statusCode !== 200) {
          done('refused', `it is answered with ${response.statusCode}`);
          return;
        }
        isOpen = true;
        response.on('error', (error) => done('ended', messageOf(error)));
        response.on('close', () => done('ended', 'the connection was closed'));
      },
    );
    asked.on('socket', (socket) => {
      socket.once(isSecure ? 'secureConnect' : 'connect', () => {
        isConnected = true;
      });
    });
    asked.on('error', (error) => done(isOpen ? 'ended' : 'refused', messageOf(error) || codeOf(error)));
    const timer = systemTime.setTimer(holdMs, () => {
      if (isOpen) done('held', 'it lasts');
      else if (isConnected) done('silent', `no answer within ${holdMs} ms`);
      else done('refused', `no connection within ${holdMs} ms`);
    });
  });
}
