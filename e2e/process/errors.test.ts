// docs/ERRORS.md promises an entry for each code, and that every message states what happened, why, and what to do. Here
// each code is provoked through the exported API, as a user would meet it, and its message is checked.
import { Rollcall } from '@rollcall/client';
import type { RollcallOptions } from '@rollcall/client';
import { encodeFrame, ERROR_CODES, isRollcallError } from '@rollcall/core';
import type { ErrorCode, RollcallError } from '@rollcall/core';
import { changeTokens, diskStore, startRegistry } from '@rollcall/registry';
import { EtcdStore } from '@rollcall/registry/etcd';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RegistryApi } from 'rollcall';
import { afterEach, describe, expect, it } from 'vitest';

const FINDING = 'find';
/** Cleans up what a test has started, the last first. */
const cleanups: (() => unknown)[] = [];
const closeAtEnd = <One extends { close(): unknown }>(one: One): One => {
  cleanups.push(() => one.close());
  return one;
};

function createClient(options: RollcallOptions = {}): Rollcall {
  const client = closeAtEnd(new Rollcall({ registry: NOWHERE, ...options }));
  client.start();
  return client;
}

/** A registry with a short interval, so that decisions take no time. */
const startFastRegistry = async () => closeAtEnd(await startRegistry({ port: 0, intervalMs: 100 }));

/** No process listens there: port 1 is privileged and unused today. */
const NOWHERE = 'http://127.0.0.1:1';

async function startTcpServer(take: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {}); // the callee may be gone
    take(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  cleanups.push(() => server.close());
  cleanups.push(() => sockets.forEach((socket) => socket.destroy()));
  return (server.address() as AddressInfo).port;
}

/** A service at one fixed address, and a caller that knows it. */
function createCaller(port: number, calls: RollcallOptions['calls'] = {}): Rollcall {
  const client = createClient({ calls });
  client.fix('orders', [{ protocol: 'tcp', host: '127.0.0.1', port }]);
  return client;
}

/** A registration without a process. */
async function registerOrders(url: string, protocol: 'tcp' | 'http'): Promise<void> {
  const endpoints = [{ protocol, port: await startTcpServer(() => {}) }];
  const answer = await fetch(`${url}/api/v1/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: 'orders-1', service: 'orders', secret: 'a-secret-of-132-bits-22', endpoints }),
  });
  expect(answer.ok).toBe(true);
}

async function aFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-errors-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A registry that stores its state there. */
const startRegistryIn = (folder: string) => startRegistry({ port: 0, store: diskStore({ folder }) });

/** Nest's TCP protocol: the length of the JSON, a `#`, and the JSON. */
function refuseAll(socket: Socket): void {
  socket.on('data', (data) => {
    const { id } = JSON.parse(String(data).replace(/^\d+#/, '')) as { id: string };
    const json = JSON.stringify({ id, err: 'no such order', isDisposed: true });
    socket.write(`${json.length}#${json}`);
  });
}

/** How to provoke each code. Each rejects or throws. */
const PROVOKE: Readonly<Record<ErrorCode, () => Promise<unknown>>> = {
  NO_INSTANCE: async () => {
    const { url } = await startFastRegistry();
    await registerOrders(url, 'tcp');
    const client = createClient({ registry: url, calls: { catalogWaitMs: 20 } });
    // its copy may come after those 20 ms
    await expect.poll(() => client.instances('orders').catch(() => [])).not.toEqual([]);
    return client.call('orders', FINDING, {}, { version: '2.0.0' });
  },
  UNKNOWN_SERVICE: async () => {
    const { url } = await startFastRegistry();
    await registerOrders(url, 'tcp');
    const client = createClient({ registry: url });
    await client.instances('orders');
    return client.call('ordres', FINDING, {});
  },
  NO_ENDPOINT: async () => {
    const { url } = await startFastRegistry();
    await registerOrders(url, 'http');
    const client = createClient({ registry: url });
    await client.instances('orders');
    return client.call('orders', FINDING, {});
  },
  NO_CATALOG: () => createClient({ calls: { catalogWaitMs: 20 } }).call('orders', FINDING, {}),
  ALL_EJECTED: async () => {
    const client = createCaller(1);
    // one of the waiting calls retries once a second; the others end without an attempt
    for (;;) {
      const calls = Array.from({ length: 4 }, () => client.call('orders', FINDING, {}, { deadlineMs: 100 }));
      const errors = (await Promise.allSettled(calls)).flatMap((one) =>
        one.status === 'rejected' ? [one.reason] : [],
      );
      const error = errors.find(({ code }: RollcallError) => code === 'ALL_EJECTED');
      if (error !== undefined) throw error;
    }
  },
  OVERLOADED: async () => {
    const client = createCaller(await startTcpServer(() => {}), { limit: { initial: 1, min: 1, max: 1 } });
    client.call('orders', FINDING, {}).catch(() => {}); // the server never answers
    return client.call('orders', FINDING, {}, { deadlineMs: 100 });
  },
  DEADLINE_EXCEEDED: async () => {
    const client = createCaller(await startTcpServer(() => {}));
    return client.call('orders', FINDING, {}, { deadlineMs: 30 });
  },
  BULKHEAD_FULL: async () => {
    const client = createCaller(await startTcpServer(() => {}), { maxConcurrent: 1 });
    client.call('orders', FINDING, {}).catch(() => {});
    return client.call('orders', FINDING, {});
  },
  REMOTE: async () => createCaller(await startTcpServer(refuseAll)).call('orders', FINDING, {}),
  TRANSPORT: async () => createCaller(await startTcpServer((socket) => socket.destroy())).call('orders', FINDING, {}),
  CANCELLED: async () => {
    const client = createCaller(await startTcpServer(() => {}));
    return client.call('orders', FINDING, {}, { signal: AbortSignal.abort() });
  },
  CLOSED: async () => {
    const client = createCaller(1);
    await client.close();
    return client.call('orders', FINDING, {});
  },
  OPTION_INVALID: async () => new Rollcall({ servise: 'orders' } as RollcallOptions),
  PROTOCOL: async () => {
    const server = createHttpServer((_request, response) => response.end('<h1>It works!</h1>'));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    cleanups.push(() => server.close());
    return new RegistryApi(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).services();
  },
  REGISTRY_REFUSED: async () => new RegistryApi((await startFastRegistry()).url).timeline('nobody'),
  REGISTRY_UNREACHABLE: () => new RegistryApi(NOWHERE).services(),
  PORT_TAKEN: async () => startRegistry({ port: await startTcpServer((socket) => socket.destroy()) }),
  NOT_LOOPBACK: () => startRegistry({ host: '0.0.0.0', port: 0 }),
  FRAME_INVALID: async () => encodeFrame({ total: 42n }),
  STORE_LOCKED: async () => {
    const folder = await aFolder();
    closeAtEnd(await startRegistryIn(folder));
    return startRegistryIn(folder);
  },
  STORE_UNREADABLE: async () => {
    const folder = await aFolder();
    await (await startRegistryIn(folder)).close();
    for (const name of await readdir(folder)) await writeFile(join(folder, name), 'ROLLCALL? not any more\n');
    return startRegistryIn(folder);
  },
  STORE_FAILED: async () => {
    const folder = await aFolder();
    await writeFile(join(folder, 'file'), '');
    return changeTokens(join(folder, 'file', 'tokens.json'), (records) => records); // below a file, not a folder
  },
  STORE_UNREACHABLE: async () => {
    const store = new EtcdStore({ address: 'etcd://127.0.0.1:1' });
    cleanups.push(() => store.close());
    return store.list();
  },
  STORE_REFUSED: () => new EtcdStore({ address: 'etcd://127.0.0.1:1' }).write([]),
};

/**
 * Per message: what happened, the evidence for why, and what to do; null: the reader of this message cannot do
 * anything.
 */
const MESSAGES: Readonly<Record<ErrorCode, readonly [what: RegExp, why: RegExp, advice: RegExp | null]>> = {
  NO_INSTANCE: [/No instance of orders may be called/, /1 has no version, wanted 2\.0\.0/, /See version/],
  UNKNOWN_SERVICE: [/service ordres/, /The registry knows no/, /Did you mean orders\?/],
  NO_ENDPOINT: [/No instance of orders offers tcp/, /they offer http/, /fetch uses http/],
  NO_CATALOG: [/No report on orders/, /the registry has not answered/, /Check that it runs/],
  ALL_EJECTED: [/Every instance of orders is ejected/, /after failing: 1 HEALTHY/, /See explain\("orders"\)/],
  OVERLOADED: [/It was not sent/, /is at its limit of calls under way/, /Try later, start more instances/],
  DEADLINE_EXCEEDED: [/orders did not answer/, /within \d+ ms, in 1 attempt/, /Give it a longer deadlineMs/],
  BULKHEAD_FULL: [
    /this one was not begun/,
    /1 calls to orders are under way \(maxConcurrent\)/,
    /or raise maxConcurrent/,
  ],
  REMOTE: [/orders answered with an error/, /no such order/, null], // the handler's own word
  TRANSPORT: [/The call to orders failed/, /closed|reset/, /try it again only if that does no harm/],
  CANCELLED: [/The call to orders/, /was cancelled/, null], // the canceller knows
  CLOSED: [/The call to orders ended/, /because this client was closed/, /Make no calls after close/],
  OPTION_INVALID: [/servise/, /unknown|does not exist|no option|no such/i, /service/],
  PROTOCOL: [/does not answer as a registry does/, /not JSON/, /Check the address/],
  REGISTRY_REFUSED: [/nobody/, /no instance|not registered|knows no/i, /\.\s+\S.*\.$/],
  REGISTRY_UNREACHABLE: [/No registry answers at http:\/\/127\.0\.0\.1:1/, /ECONNREFUSED/, /npx rollcall up/],
  PORT_TAKEN: [/Port \d+ on 127\.0\.0\.1 is taken/, /which is no Rollcall registry/, /Stop it, or start this one on/],
  NOT_LOOPBACK: [/will not listen on 0\.0\.0\.0/, /it has no tokens/, /rollcall token create/],
  FRAME_INVALID: [/A message cannot be sent as JSON/, /BigInt/i, null], // the data is the caller's own
  STORE_LOCKED: [/is in use/, /by another registry \(process \d+\)/, /End that one, or name another folder/],
  STORE_UNREADABLE: [/rollcall-errors-/, /damaged|is no|not|checksum/i, /[Rr]estore|[Mm]ove|remove/],
  STORE_UNREACHABLE: [/The shared store does not answer/, /127\.0\.0\.1:1: .*ECONNREFUSED/, /repeat it unchanged/],
  STORE_REFUSED: [/A request takes 1 … 100 writes/, /received 0/, /Divide them/],
  STORE_FAILED: [/The tokens in \S+ could not be changed/, /EEXIST|ENOTDIR/, null], // why says it
};

const errorOf = (provoke: () => Promise<unknown>): Promise<unknown> =>
  provoke().then(
    (value) => expect.fail(`it did not fail: ${String(value)}`),
    (error: unknown) => error,
  );

describe('an error', () => {
  afterEach(async () => {
    for (const end of cleanups.splice(0).toReversed()) await end();
  });

  it.each([...ERROR_CODES])('%s states what happened, why, what to do, and a link', async (code) => {
    const error = await errorOf(PROVOKE[code]);
    expect(isRollcallError(error)).toBe(true);
    const { code: received, message, help } = error as RollcallError;
    expect([received, message]).toEqual([code, expect.any(String)]);
    for (const words of MESSAGES[code]) if (words !== null) expect(message).toMatch(words);
    expect(message).not.toMatch(/undefined|NaN|\[object/);
    if (code !== 'REMOTE') expect(message).toMatch(/[.!?]$/); // a handler's message keeps its own ending
    const [path = '', anchor] = help.split('#');
    const page = await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
    expect(page.toLowerCase()).toContain(`### ${anchor}\n`);
  });
});
