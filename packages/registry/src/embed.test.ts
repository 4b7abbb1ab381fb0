import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { embedRegistry } from './embed.js';
import type { EmbeddedRegistry, EmbedOptions } from './embed.js';

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

/** A port that was free a moment ago. */
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

  it('is refused in production unless it was made for that', async () => {
    await expect(embed({ port: 0 }).start({ production: true })).rejects.toThrow(/NODE_ENV=production.*rollcall up/);
    await expect(embed({ port: 0, production: true }).start({ production: true })).resolves.toBeUndefined();
  });

  it('refuses an option that does not exist when it is made', () => {
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
    const heir = embed({ port, time, log });
    await heir.start(development);
    expect(log.texts('info')).toEqual([`Joined the registry at ${heir.url}.`]);
    const before = await replicaAt(heir.url);
    await holder.close();
    time.advance(1_000);
    await expect.poll(() => log.texts('info').at(-1)).toContain('this process serves it now');
    expect(await replicaAt(heir.url)).not.toBe(before);
  });

  it('does not join a stranger', async () => {
    const stranger = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'));
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    const { port } = stranger.address() as AddressInfo;
    await expect(embed({ port }).start(development)).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringContaining('no Rollcall registry'),
    });
    stranger.close();
  });
});
