import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { embedRegistry } from './embed.js';
import type { EmbeddedRegistry, EmbedOptions } from './embed.js';
import { MemoryStore } from './store/memory.js';

const development = { production: false };

const embedded: EmbeddedRegistry[] = [];
afterEach(async () => {
  await Promise.all(embedded.splice(0).map((registry) => registry.close()));
});

function embed(options: EmbedOptions = {}): EmbeddedRegistry {
  const registry = embedRegistry(options);
  embedded.push(registry);
  return registry;
}

/** Returns a port that was free when checked. */
async function freePort(): Promise<number> {
  const first = embedRegistry({ port: 0 });
  await first.start(development);
  await first.close();
  return Number(new URL(first.url).port);
}

async function replicaAt(url: string): Promise<string> {
  const { replica } = (await (await fetch(`${url}/api/v1/registry`)).json()) as { replica: string };
  return replica;
}

describe('an embedded registry', () => {
  it('serves once it is started, and no longer once it is closed', async () => {
    const registry = embed({ port: 0 });
    await registry.start(development);
    expect(await replicaAt(registry.url)).toMatch(/^[A-Za-z0-9_-]{8,64}$/);
    await Promise.all([registry.close(), registry.close()]);
    await expect(replicaAt(registry.url)).rejects.toThrow('fetch failed');
  });

  it('knows its address before it is started', () => {
    expect(embed().url).toBe('http://127.0.0.1:1337');
    expect(embed({ port: 4000, host: '::1' }).url).toBe('http://[::1]:4000');
  });

  it('can be closed without a start', async () => {
    await expect(embed().close()).resolves.toBeUndefined();
  });

  it('is refused in production unless it is configured for that', async () => {
    await expect(embed({ port: 0 }).start({ production: true })).rejects.toThrow(/NODE_ENV=production.*rollcall up/);
    await expect(embed({ port: 0, production: true }).start({ production: true })).resolves.toBeUndefined();
  });

  it('refuses an unknown option at construction', () => {
    expect(() => embed({ prot: 1 } as EmbedOptions)).toThrow('Did you mean port?');
  });

  it('joins the registry that holds the port, also when both start at once', async () => {
    const port = await freePort();
    const both = [embed({ port }), embed({ port })];
    await Promise.all(both.map((registry) => registry.start(development)));
    const replicas = await Promise.all(both.map(({ url }) => replicaAt(url)));
    expect(replicas[0]).toBe(replicas[1]);
  });

  it('takes the port within one heartbeat of the holder’s end', async () => {
    const port = await freePort();
    const [time, log] = [new ManualTime(), recordingLog()];
    const holder = embed({ port });
    await holder.start(development);
    const successor = embed({ port, time, log });
    await successor.start(development);
    expect(log.texts('info')).toEqual([`Joined the registry at ${successor.url}.`]);
    const before = await replicaAt(successor.url);
    await holder.close();
    time.advance(1_000);
    await expect.poll(() => log.texts('info').at(-1)).toContain('this process serves it now');
    expect(await replicaAt(successor.url)).not.toBe(before);
  });

  it('logs the serving process to the application that starts it, unless it has a log of its own', async () => {
    const [own, applications] = [recordingLog(), recordingLog()];
    const registry = embed({ port: 0 });
    await registry.start({ ...development, log: applications });
    expect(applications.texts('info')).toEqual([`This process serves the registry at ${registry.url}.`]);
    const other = embed({ port: 0, log: own });
    await other.start({ ...development, log: applications });
    expect(own.texts('info').at(-1)).toBe(`This process serves the registry at ${other.url}.`);
    expect(applications.texts('info')).toHaveLength(1);
  });

  it('keeps its folder, so that its successor has the registered instances', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rollcall-embed-'));
    const port = await freePort();
    const [time, log] = [new ManualTime(), recordingLog()];
    const holder = embed({ port, folder });
    await holder.start(development);
    const successor = embed({ port, folder, time, log });
    await successor.start(development);
    const registration = {
      id: 'orders-1',
      service: 'orders',
      secret: 'a-secret-of-132-bits-22',
      endpoints: [{ protocol: 'tcp', port: 1 }],
    };
    const registered = await fetch(`${successor.url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(registration),
    });
    expect(registered.status).toBe(201);
    await holder.close();
    time.advance(1_000);
    await expect.poll(() => log.texts('info').at(-1)).toContain('this process serves it now');
    const { instances } = (await (await fetch(`${successor.url}/api/v1/services/orders`)).json()) as {
      instances: object[];
    };
    expect(instances).toMatchObject([{ id: 'orders-1' }]);
    await successor.close();
    rmSync(folder, { recursive: true });
  });

  it('accepts either a folder or a store', () => {
    expect(() => embed({ folder: '/nowhere', store: new MemoryStore() })).toThrow('leave one of them out');
  });

  it('does not join a server that is no registry', async () => {
    const stranger = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'));
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    const { port } = stranger.address() as AddressInfo;
    await expect(embed({ port }).start(development)).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringContaining('no Rollcall registry'),
    });
    stranger.close();
  });

  it('probes again after a server that is no registry, as the port may become free', async () => {
    const stranger = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => void stranger.listen(0, '127.0.0.1', resolve));
    const [time, log] = [new ManualTime(), recordingLog()];
    const registry = embed({ port: (stranger.address() as AddressInfo).port, time, log });
    await expect(registry.start(development)).rejects.toMatchObject({ code: 'PORT_TAKEN' });
    await new Promise((resolve) => stranger.close(resolve));
    time.advance(1_000);
    await expect.poll(() => log.texts('info').at(-1)).toContain('this process serves it now');
    expect(await replicaAt(registry.url)).toMatch(/./);
  });
});
