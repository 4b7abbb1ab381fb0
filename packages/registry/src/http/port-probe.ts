import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { get as getSecurely } from 'node:https';
import { PROBLEM_URN } from './exchange/problem.js';

/** The holder of an address: nothing, a Rollcall registry, or another program. */
export type Holder = 'none' | 'registry' | 'stranger';

const TIMEOUT_MS = 1000;
const MAX_BYTES = 64 * 1024;

/**
 * Probes what serves `url` (`http://host:port`, or https with any certificate, as nothing is sent to it). Never
 * rejects; a program that does not answer within a second counts as another program.
 */
export async function holderOf(url: string): Promise<Holder> {
  try {
    return (await looksLikeRegistry(url)) ? 'registry' : 'stranger';
  } catch (error) {
    return isRefusal(error) ? 'none' : 'stranger';
  }
}

/** True if it describes itself as a registry, or refuses as one (it may not have loaded its store yet). */
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
    if (text.length > MAX_BYTES) throw new Error('The answer is too long for a registry.');
  }
  return text;
}

function isRefusal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ECONNREFUSED';
}
