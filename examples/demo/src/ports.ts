import { RollcallError } from '@rollcall/core';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** 0: any free one. */
export interface Ports {
  readonly registry: number;
  readonly gateway: number;
}

/** The default ports. */
export const DEFAULT_PORTS: Ports = { registry: 1337, gateway: 3333 };

/**
 * The ports to use, and notices about them. Requested ports are used, or it rejects with PORT_TAKEN and a suggestion
 * where one is in use; without a request (`requested` is null) it uses the default ports, or free ones in their place.
 */
export async function choosePorts(
  requested: Ports | null,
): Promise<{ readonly ports: Ports; readonly notes: readonly string[] }> {
  const { registry, gateway } = requested ?? DEFAULT_PORTS;
  const uses = [
    { port: registry, use: 'the registry' },
    { port: gateway, use: 'the gateway' },
  ];
  const chosen: number[] = [];
  const notes: string[] = [];
  for (const { port, use } of uses) {
    const isUsable = port === 0 || (await isFree(port));
    if (!isUsable && requested !== null) throw takenError(port, use);
    if (!isUsable) notes.push(`Port ${port} is taken by another program: ${use} has a free one.`);
    chosen.push(isUsable ? port : 0);
  }
  const [first = 0, second = 0] = chosen;
  return { ports: { registry: first, gateway: second }, notes };
}

function takenError(port: number, use: string): RollcallError {
  return new RollcallError(
    'PORT_TAKEN',
    `Port ${port}, which the demo wants for ${use}, is taken (by another demo?). Stop what listens there, or take free ports: ` +
      'npm run demo -- --ports 0',
  );
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
