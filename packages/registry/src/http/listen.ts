import { addressOf, messageOf, RollcallError } from '@rollcall/core';
import type { Log } from '@rollcall/core';
import type { FastifyInstance } from 'fastify';
import { Server } from 'node:https';
import { ACCEPT_QUEUE } from '../metrics/host-budget.js';
import type { ServerTls } from './access/tls.js';
import { isLoopback } from './exchange/request.js';
import { holderOf } from './port-probe.js';

/** The URL by which a program on this machine reaches a server that listens on `host`. */
export function urlOf(host: string, port: number, scheme: 'http' | 'https' = 'http'): string {
  return `${scheme}://${addressOf({ host: reachable(host), port })}`;
}

function reachable(host: string): string {
  if (!isWildcard(host)) return host;
  return host === '::' ? '::1' : '127.0.0.1';
}

export interface Place {
  readonly host: string;
  readonly port: number;
  /** Further names by which clients reach it. */
  readonly names: readonly string[];
  readonly tls: ServerTls | null;
  readonly log: Log;
}

/**
 * The URL for programs on this machine (`url`) and those for services elsewhere (`urls`): over TLS by the first name or
 * address that its certificate covers. Behind an address such as 0.0.0.0 the registry does not know how it is reached
 * from elsewhere.
 */
export function placeOf({ host, port, names, tls, log }: Place): {
  readonly url: string;
  readonly urls: readonly string[];
} {
  if (tls === null) {
    const url = urlOf(host, port);
    return { url, urls: isWildcard(host) ? [] : [url] };
  }
  const hosts = [reachable(host), ...names];
  const name = tls.nameAmong(hosts);
  if (name === null)
    log.warn(
      `The certificate of the registry is for ${tls.describe().names.join(', ') || 'no name'}, not for ${hosts.join(' or ')}: clients refuse it ` +
        'there. Have one signed for the name by which they reach it, and give that name: --name (in code: names).',
    );
  const url = urlOf(name ?? host, port, 'https');
  return { url, urls: name === null || isWildcard(host) ? [] : [url] };
}

/** True if it stands for every address of this machine. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/**
 * Listens. Rejects with PORT_TAKEN or OPTION_INVALID and a fix. Resolves with the port, which is chosen if `port` is 0.
 */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    // exclusive: workers of node:cluster would otherwise share the port, each with a registry of its own
    await app.listen({ host, port, backlog: ACCEPT_QUEUE, exclusive: true });
  } catch (error) {
    await app.close();
    throw await listenError(error, { host, port, scheme: app.server instanceof Server ? 'https' : 'http' });
  }
  const address = app.server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

/**
 * Throws NOT_LOOPBACK if the registry would be open to a network without tokens and certificates, unless that is
 * intended.
 */
export function checkHost(host: string, isMeant: boolean): void {
  if (isMeant || isLoopback(host)) return;
  throw new RollcallError(
    'NOT_LOOPBACK',
    `The registry will not listen on ${host}: it has no tokens, so any client that reaches this address could register, read and remove. ` +
      "Create a token first (rollcall token create --role service --service '*'; in code: the option tokens), ask clients for certificates " +
      '(--tls-cert, --tls-key and --tls-ca; in code: tls with caFile), listen on 127.0.0.1, or accept this explicitly: --insecure (in code: insecure: true).',
  );
}

interface Listening {
  readonly host: string;
  readonly port: number;
  readonly scheme: 'http' | 'https';
}

async function listenError(error: unknown, { host, port, scheme }: Listening): Promise<RollcallError> {
  const where = addressOf({ host, port });
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : '';
  if (code === 'EADDRINUSE')
    return new RollcallError('PORT_TAKEN', await portTakenText(host, port, scheme), { cause: error });
  const why = code === 'EACCES' ? 'this user may not open that port' : messageOf(error);
  return new RollcallError(
    'OPTION_INVALID',
    `The registry cannot listen on ${where}: ${why}. Choose another host, or another port (--port 0 is any free one).`,
    { cause: error },
  );
}

async function portTakenText(host: string, port: number, scheme: 'http' | 'https'): Promise<string> {
  const own = urlOf(host, port, scheme);
  const other = urlOf(host, port, scheme === 'http' ? 'https' : 'http');
  const elsewhere = 'start this one on another port (--port 0 is any free one) and set ROLLCALL_URL to its address';
  if ((await holderOf(own)) === 'registry') {
    return `A Rollcall registry serves ${own} already (npx rollcall up, or one that is embedded in a service). Use that one: services find it by themselves. Or ${elsewhere}.`;
  }
  // a registry logs connections with the wrong protocol: so the port is probed only if the result can explain the failure
  if ((await holderOf(other)) === 'registry') {
    const how = scheme === 'http' ? 'over TLS' : 'without TLS';
    return `A Rollcall registry serves ${other} already, ${how}. Use that one: set ROLLCALL_URL=${other} for the services. Or ${elsewhere}.`;
  }
  return `Port ${port} on ${host} is taken by another program, which is no Rollcall registry. Stop it, or ${elsewhere}.`;
}
