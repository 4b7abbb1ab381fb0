import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { AnnouncedEndpoint } from '@rollcall/core';
import type { ServerHost } from './server-adapter.js';
import { answerOwnPath, OWN_PATHS, refuse } from './well-known.js';

export interface OwnAddress {
  /** Undefined: every address of the machine. */
  readonly host: string | undefined;
  /** 0: any free one. */
  readonly port: number;
}

/** A port that answers only our paths. */
export interface OwnPort {
  /** The endpoint to announce: it takes no calls, but the registry probes this process there. */
  readonly endpoint: AnnouncedEndpoint;
  /** Closes the port and its connections. May be called twice. */
  close(): Promise<void>;
}

/** The most open connections; registries and platform probes need far fewer. */
const MAX_CONNECTIONS = 64;
/**
 * A request must be complete after this time, or its connection is closed: as long as a `relaxed` registry waits for
 * the answer.
 */
const PATIENCE_MS = 5_000;
/** How often Node checks for late requests. */
const LATENESS_CHECK_MS = 500;

/**
 * Opens a port for an application that callers reach by other means (a broker, a strategy of the user's): it answers
 * Heartbeat-1 and the readiness probe. It does not keep the process alive. Rejects if the port is taken.
 */
export async function openOwnPort(
  serverHost: ServerHost,
  { host, port }: OwnAddress,
  patienceMs = PATIENCE_MS,
): Promise<OwnPort> {
  const limits = {
    headersTimeout: patienceMs,
    requestTimeout: patienceMs,
    connectionsCheckingInterval: LATENESS_CHECK_MS,
  };
  const server = createServer(limits, (request, response) => {
    if (request.url?.startsWith(OWN_PATHS) === true) answerOwnPath(serverHost, request, response);
    else refuse(response, 'NOT_FOUND', `${serverHost.id} is not called here: this port is for heartbeats.`);
  });
  server.setTimeout(patienceMs); // for a client that reads no answer
  admitInTurn(server, MAX_CONNECTIONS);
  // in a worker of node:cluster it would be the port of all of them
  server.listen({ ...(host === undefined ? {} : { host }), port, exclusive: true });
  await once(server, 'listening');
  server.on('error', () => {}); // of one connection that could not be accepted
  server.unref();
  const address = server.address() as AddressInfo; // it listens on a port
  const announced = { protocol: 'heartbeat', port: address.port, tls: false } as const;
  return {
    endpoint: host === undefined ? announced : { ...announced, host },
    close: async () => {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/**
 * Bounds the open connections: a newcomer takes the place of the connection that has waited longest since it was opened
 * or answered, of the address with the most connections. So a flood from one address, silent or byte by byte, shuts out
 * only itself; a client with many addresses, as in an IPv6 /64, counts as many, and can keep others out by
 * reconnecting. Install it before the server listens.
 */
export function admitInTurn(server: Server, max: number): void {
  /** The source of each open connection; the one that has waited longest first. */
  const sources = new Map<Socket, string>();
  server.on('connection', (socket: Socket) => {
    if (sources.size >= max) evictLongestWaiting(sources);
    sources.set(socket, socket.remoteAddress ?? '');
    socket.once('close', () => sources.delete(socket));
    socket.unref();
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    response.once('finish', () => {
      const source = sources.get(socket);
      if (source === undefined) return;
      sources.delete(socket);
      sources.set(socket, source);
    });
  });
}

function evictLongestWaiting(sources: Map<Socket, string>): void {
  const counts = new Map<string, number>();
  for (const source of sources.values()) counts.set(source, (counts.get(source) ?? 0) + 1);
  const max = Math.max(...counts.values());
  const longest = [...sources.keys()].find((socket) => counts.get(sources.get(socket) ?? '') === max);
  if (longest === undefined) return;
  sources.delete(longest);
  longest.destroy();
}
