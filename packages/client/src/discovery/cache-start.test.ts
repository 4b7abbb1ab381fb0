import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordingLog } from '@rollcall/core/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createInstance, resetFrame, FakeLink } from '../registry-client/registry-client.fixture.js';
import { Rollcall } from '../rollcall.js';
import { deadPort, tcpToy } from '../transport/transport.fixture.js';
import type { Toy } from '../transport/transport.fixture.js';

/** Real files, real sockets, real time. */
describe('a caller that starts without a registry', () => {
  let folder = '';
  let toy: Toy;
  let registry = '';
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'rollcall-start-')), 'cache');
    toy = await tcpToy();
    registry = `http://127.0.0.1:${await deadPort()}`;
  });
  afterEach(async () => {
    await toy.close();
    await rm(join(folder, '..'), { recursive: true });
  });

  /** The previous run, with a registry. */
  async function runOnce(instances = [createInstance()]): Promise<void> {
    const link = new FakeLink(registry);
    const caller = new Rollcall({ cache: folder }, { link });
    const endpoints = [{ protocol: 'tcp' as const, host: '127.0.0.1', port: toy.port, tls: false }];
    const ready = caller.ready('orders');
    await expect.poll(() => link.streams.length).toBe(1);
    link.stream.accept([resetFrame(instances.map((instance) => ({ ...instance, endpoints })))]);
    await ready;
    await caller.close();
  }

  it('calls the services of its last run', async () => {
    await runOnce();
    const log = recordingLog();
    const caller = new Rollcall({ registry, cache: folder }, { log });
    await expect(caller.call('orders', 'find', { id: 7 })).resolves.toEqual({ id: 7 });
    expect(caller.service('orders').stale).toBe(true);
    expect(caller.status).not.toBe('connected');
    await caller.close();
    expect(toy.received).toEqual([{ id: 7 }]);
    expect(log.texts('warn')).toEqual([expect.stringContaining('no registry at')]);
  });

  it('does not call another process that now has the address, and forgets the former instance', async () => {
    await runOnce();
    toy.id = 'users-1';
    const caller = new Rollcall({ registry, cache: folder, calls: { attempts: 1, catalogWaitMs: 50 } });
    await expect(caller.call('orders', 'find', { id: 7 })).rejects.toMatchObject({ code: 'TRANSPORT' });
    expect(caller.service('orders').instances).toEqual([]);
    await caller.close();
    expect(toy.received).toEqual([]);
  });

  it('knows no service without a cache, and ignores the cache of another registry', async () => {
    await runOnce();
    const calls = { catalogWaitMs: 50 };
    const other = `http://127.0.0.1:${await deadPort()}`;
    for (const options of [
      { registry },
      { registry: other, cache: folder },
      { registry, namespace: 'x', cache: folder },
    ]) {
      const caller = new Rollcall({ ...options, calls });
      await expect(caller.call('orders', 'find', {})).rejects.toMatchObject({ code: 'NO_CATALOG' });
      await caller.close();
    }
  });

  it('writes one file with the option cache, and none without it', async () => {
    await runOnce();
    await expect(readdir(folder)).resolves.toEqual(['default.client.catalog']);
    await rm(folder, { recursive: true });
    const caller = new Rollcall({ registry });
    caller.start();
    await caller.close();
    await expect(access(folder)).rejects.toThrow('ENOENT');
  });
});
