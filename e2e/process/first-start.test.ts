import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { once } from 'node:events';
import { afterAll, describe, expect, it } from 'vitest';
import { endAll, start } from './spawn.js';
import { waitFor } from './wait-for.js';

/** A port whose server closes every connection, and counts them. */
async function startClosingServer(): Promise<{ server: Server; port: number; connectionCount: () => number }> {
  let visits = 0;
  const server = createServer((socket) => {
    visits += 1;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port, connectionCount: () => visits };
}

describe('a service that starts before the registry', () => {
  afterAll(endAll);

  it('logs what to do where no process listens', async () => {
    const { server, port } = await startClosingServer();
    server.close();
    await once(server, 'close');
    const url = `http://127.0.0.1:${port}`;
    const service = start('a', [], { ROLLCALL_URL: url });
    const line = service.line(/no registry at/);
    expect(await line).toContain(`no registry at ${url}: run \`npx rollcall up\`, or set ROLLCALL_URL`);
    service.kill('SIGKILL');
  });

  it('starts, logs once that no registry is reachable, keeps trying, and is found when one starts', async () => {
    const { server, port, connectionCount: visits } = await startClosingServer();
    const url = `http://127.0.0.1:${port}`;
    const service = start('a', [], { ROLLCALL_URL: url });
    await service.line(/Nest microservice successfully started/);
    await waitFor('it has tried several times', () => visits() >= 6);
    const lines = [...service.out, ...service.err].filter((line) => line.includes(url));
    // Nest shows debug lines by default: one may give the reason
    expect(lines.length).toBeLessThanOrEqual(2);
    expect(lines.filter((line) => !line.includes('DEBUG'))).toEqual([
      expect.stringContaining(`The registry at ${url} cannot be reached: it closed the connection without an answer`),
    ]);

    server.close();
    await once(server, 'close');
    const registry = start('rollcall', ['up', '--json', '--memory', '--port', String(port), '--interval', '400']);
    await registry.line(/^{/);
    await service.line(/is HEALTHY/);
    const answer = (await (await fetch(`${url}/api/v1/services/a`)).json()) as { instances: object[] };
    expect(answer.instances).toMatchObject([{ state: 'HEALTHY', metadata: { pid: String(service.pid) } }]);
  });

  it('with a gateway, gets calls as soon as both are there, and the gateway answers what it knows', async () => {
    const { server, port, connectionCount: visits } = await startClosingServer();
    const gateway = start('gateway', [], { ROLLCALL_URL: `http://127.0.0.1:${port}`, PORT: '0' });
    await gateway.line(/Nest application successfully started/);
    await waitFor('it has tried', () => visits() >= 1);
    server.close();
    await once(server, 'close');

    const registry = start('rollcall', ['up', '--json', '--memory', '--port', String(port), '--interval', '400']);
    const { url } = JSON.parse(await registry.line(/^{/)) as { url: string };
    const service = start('b', [], { ROLLCALL_URL: url });
    await service.line(/is HEALTHY/);
    await gateway.line(/gateway…\w+ is HEALTHY/); // it logs b, too
    const { instances } = (await (await fetch(`${url}/api/v1/services/gateway`)).json()) as {
      instances: { endpoints: { port: number }[] }[];
    };
    const ping = await fetch(`http://127.0.0.1:${instances.at(0)!.endpoints.at(0)!.port}/b/ping`);
    expect(ping.status).toBe(200);
    expect(await ping.json()).toEqual({ instance: expect.stringMatching(/^b-/) });
  });
});
