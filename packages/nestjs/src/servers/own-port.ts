import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { AnnouncedEndpoint } from '@rollcall/core';
import type { ServerHost } from './server-adapter.js';
import { answerUs, OUR_PATHS, refuse } from './well-known.js';

export interface OwnPlace {
  /** Undefined: every address of the machine. */
  readonly host: string | undefined;
  /** 0: any free one. */
  readonly port: number;
}

/** A port on which nothing but our paths is answered. */
export interface OwnPort {
  /** To be announced: nobody is called there, but the registry finds this process. */
  readonly endpoint: AnnouncedEndpoint;
  /** Ends its connections, too. May be called twice. */
  close(): Promise<void>;
}

/** Registries and a probe of the platform are far fewer. */
const MOST_CONNECTIONS = 64;
/** A request is here as a whole after so long, or its connection is closed: as long as a `relaxed` registry waits for the answer. */
const PATIENCE_MS = 5_000;
/** How often Node looks who is late. */
const LATENESS_CHECK_MS = 500;

/**
 * For an application that callers reach over something else than a port of its own (a broker, a strategy of the user's): it answers
 * Heartbeat-1 and the question whether this process is ready. It keeps no process alive. Rejects when the port is taken.
 */
export async function openOwnDoor(
  serverHost: ServerHost,
  { host, port }: OwnPlace,
  patienceMs = PATIENCE_MS,
): Promise<OwnPort> {
  const limits = {
    headersTimeout: patienceMs,
    requestTimeout: patienceMs,
    connectionsCheckingInterval: LATENESS_CHECK_MS,
  };
  const server = createServer(limits, (request, response) => {
    if (request.url?.startsWith(OUR_PATHS) === true) answerUs(serverHost, request, response);
    else refuse(response, 'NOT_FOUND', `${serverHost.id} is not called here: this port is for heartbeats.`);
  });
  server.setTimeout(patienceMs); // of who takes no answer
  admitInTurn(server, MOST_CONNECTIONS);
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
 * At most so many connections are open: a newcomer takes the place of the one that has waited longest since it was opened or answered,
 * of the address that has most. So a crowd at one address that says nothing, or says it byte by byte, shuts out none but itself; who has
 * many addresses, as in an IPv6 /64, counts as many, and can keep others out by coming again and again. Before the server listens.
 */
export function admitInTurn(server: Server, most: number): void {
  /** The source of each that is open; the one that has waited longest first. */
  const sources = new Map<Socket, string>();
  server.on('connection', (socket: Socket) => {
    if (sources.size >= most) dismiss(sources);
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

function dismiss(sources: Map<Socket, string>): void {
  const counts = new Map<string, number>();
  for (const source of sources.values()) counts.set(source, (counts.get(source) ?? 0) + 1);
  const most = Math.max(...counts.values());
  const longest = [...sources.keys()].find((socket) => counts.get(sources.get(socket) ?? '') === most);
  if (longest === undefined) return;
  sources.delete(longest);
  longest.destroy();
}
