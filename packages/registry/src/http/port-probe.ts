import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { get as getSecurely } from 'node:https';
import { PROBLEM_URN } from './exchange/problem.js';

/** Who answers at an address: nobody, a Rollcall registry, or some other program. */
export type Holder = 'nobody' | 'registry' | 'stranger';

const TIMEOUT_MS = 1000;
const MOST_BYTES = 64 * 1024;

/** Asks who holds `url` (`http://host:port`, or https, whoever has signed for it: it is told nothing). Never rejects; a holder that stays silent for a second is a stranger. */
export async function holderOf(url: string): Promise<Holder> {
  try {
    return (await looksLikeRegistry(url)) ? 'registry' : 'stranger';
  } catch (error) {
    return isRefusal(error) ? 'nobody' : 'stranger';
  }
}

/** It describes itself as one, or refuses as one (it may not have loaded its store yet). */
async function looksLikeRegistry(url: string): Promise<boolean> {
  const answer: unknown = JSON.parse(await read(new URL('/api/v1/registry', url)));
  if (typeof answer !== 'object' || answer === null) return false;
  if ('replica' in answer && 'epoch' in answer) return true;
  return 'type' in answer && String(answer.type).startsWith(PROBLEM_URN);
}

function read(url: URL): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const options = { agent: false, signal } as const;
    const answered = (response: IncomingMessage): void => {
      collect(response)
        .then(resolve, reject)
        .finally(() => request.destroy());
    };
    const isSecure = url.protocol === 'https:';
    const request = isSecure
      ? getSecurely(url, { ...options, rejectUnauthorized: false }, answered)
      : get(url, options, answered);
    request.on('error', reject);
  });
}

async function collect(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response) {
    text += String(part);
    if (text.length > MOST_BYTES) throw new Error('No registry says so much.');
  }
  return text;
}

function isRefusal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ECONNREFUSED';
}
