import { RollcallError } from '@rollcall/core';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { DemoOptions } from './options.js';

/** Rejects with PORT_TAKEN and the way out where a port that the demo wants is in use. */
export async function checkPorts({ registry, gateway }: DemoOptions['ports']): Promise<void> {
  for (const [port, use] of [
    [registry, 'the registry'],
    [gateway, 'the gateway'],
  ] as const) {
    if (port !== 0 && !(await isFree(port))) {
      throw new RollcallError(
        'PORT_TAKEN',
        `Port ${port}, which the demo wants for ${use}, is taken (by another demo?). Stop what listens there, or take free ports: ` +
          'npm run demo -- --ports 0',
      );
    }
  }
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
