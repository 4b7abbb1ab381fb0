import { get as plainGet } from 'node:http';
import { get as secureGet } from 'node:https';
import { messageOf, systemTime } from '@rollcall/core';
import { codeOf } from './asking.js';
import type { Asker } from './asking.js';
import type { Failure, StreamFacts } from './facts.js';

/** So long a change feed is held. */
const STREAM_MS = 2_500;

/**
 * Asks for an answer of more than 64 KiB: the script of the dashboard, which is for anyone. Null: it arrived, or this registry has none.
 */
export async function largeAnswer(asker: Asker): Promise<Failure | null> {
  const page = await asker.pageText('/');
  const script = /src="\.\/(assets\/[\w-]+\.js)"/.exec(page ?? '')?.[1];
  if (script === undefined) return null;
  const asked = await asker.ask(`/${script}`);
  return asked.kind === 'failure' ? asked : null;
}

/** Holds a change feed for 2.5 s: does it come through, and last? Never rejects. */
export function streamOf(asker: Asker): Promise<StreamFacts> {
  const get = asker.url.startsWith('https:') ? secureGet : plainGet;
  const beganAt = systemTime.now();
  return new Promise((resolve) => {
    let isOver = false;
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
    asked.on('error', (error) => done(isOpen ? 'ended' : 'refused', messageOf(error) || codeOf(error)));
    const timer = systemTime.setTimer(STREAM_MS, () =>
      isOpen ? done('held', 'it lasts') : done('silent', `no answer within ${STREAM_MS} ms`),
    );
  });
}
