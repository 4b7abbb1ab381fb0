import { Agent, request } from 'node:http';

/** The result of one request. */
export interface Reply {
  readonly path: string;
  /** When it was sent, on the clock of `performance.now`. */
  readonly at: number;
  readonly ms: number;
  /** Null: no answer. */
  readonly status: number | null;
  /** The id of the instance that answered; null when the answer has none. */
  readonly instance: string | null;
  /** The error, for people. */
  readonly text: string;
}

/** Requests at a steady rate, whether or not earlier ones have been answered. */
export interface Load {
  readonly replies: readonly Reply[];
  /** Stops sending, and resolves when every request has been answered or failed. */
  stop(): Promise<void>;
}

const TICK_MS = 5;
const TIMEOUT_MS = 10_000;

export const isFailed = ({ status }: Reply): boolean => status !== 200;

/** Sends `perSecond` requests to the paths in turn. */
export function load(gateway: string, paths: readonly string[], perSecond: number): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: 512 });
  const replies: Reply[] = [];
  const open = new Set<Promise<void>>();
  const startedAt = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) * perSecond) / 1_000);
    for (; sent < due; sent += 1) {
      const path = paths.at(sent % paths.length)!;
      const asked = ask(agent, gateway, path).then((reply) => void replies.push(reply));
      open.add(asked);
      void asked.finally(() => open.delete(asked));
    }
  }, TICK_MS);
  return {
    replies,
    stop: async () => {
      clearInterval(timer);
      await Promise.all(open);
      agent.destroy();
    },
  };
}

/** Sends `size` requests at once. */
export async function burst(gateway: string, path: string, size: number): Promise<readonly Reply[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: size });
  const replies = await Promise.all(Array.from({ length: size }, () => ask(agent, gateway, path)));
  agent.destroy();
  return replies;
}

function ask(agent: Agent, gateway: string, path: string): Promise<Reply> {
  const at = performance.now();
  return new Promise((resolve) => {
    const done = (status: number | null, text: string): void =>
      resolve({ path, at, ms: performance.now() - at, status, instance: instanceOf(text), text });
    const asking = request(`${gateway}${path}`, { agent, timeout: TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () => done(response.statusCode ?? null, text));
      response.on('error', (error) => done(null, error.message));
    });
    asking.on('timeout', () => asking.destroy(new Error('timeout')));
    asking.on('error', (error) => done(null, error.message));
    asking.end();
  });
}

function instanceOf(text: string): string | null {
  return /"instance":"([^"]+)"/.exec(text)?.[1] ?? null;
}
