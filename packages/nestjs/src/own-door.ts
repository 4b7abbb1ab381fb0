import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AnnouncedEndpoint } from '@rollcall/core';
import type { Keeper } from './door.js';
import { answerUs, OUR_PATHS, refuse } from './well-known.js';

export interface OwnPlace {
  /** Undefined: every address of the machine. */
  readonly host: string | undefined;
  /** 0: any free one. */
  readonly port: number;
}

/** A port on which nothing but our paths is answered. */
export interface OwnDoor {
  /** To be announced: nobody is called there, but the registry finds this process. */
  readonly endpoint: AnnouncedEndpoint;
  /** Ends its connections, too. May be called twice. */
  close(): Promise<void>;
}

/** There are as many registries, and a probe of the platform. */
const MOST_CONNECTIONS = 64;

/**
 * For an application that callers reach over something else than a port of its own (a broker, a strategy of the user's): it answers
 * Heartbeat-1 and the question whether this process is ready. It keeps no process alive. Rejects when the port is taken.
 */
export async function openOwnDoor(keeper: Keeper, { host, port }: OwnPlace): Promise<OwnDoor> {
  const server = createServer((request, response) => {
    if (request.url?.startsWith(OUR_PATHS) === true) answerUs(keeper, request, response);
    else refuse(response, 'NOT_FOUND', `${keeper.id} is not called here: this port is for heartbeats.`);
  });
  server.maxConnections = MOST_CONNECTIONS;
  server.listen(host === undefined ? { port } : { host, port });
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
