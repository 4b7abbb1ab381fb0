import { HttpRegistryClient, Rollcall } from '@rollcall/client';
import { systemTime } from '@rollcall/core';
import type { Log } from '@rollcall/core';
import { recordingLog } from '@rollcall/core/testing';
import { changeTokens, startRegistry } from '@rollcall/registry';
import type { RunningRegistry, TokenRequest } from '@rollcall/registry';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { openService } from '../fuzz/service.js';
import { addToken } from '../process/token-file.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function guarded() {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-security-'));
  cleanups.push(() => rm(folder, { recursive: true }));
  const path = join(folder, 'tokens.json');
  const make = (overrides: Partial<TokenRequest> = {}) => addToken(path, overrides);
  const revoke = (id: string) =>
    changeTokens(path, (records) =>
      records.map((record) => (record.id === id ? { ...record, revokedAt: systemTime.wall() } : record)),
    );
  const log = recordingLog();
  const start = async (): Promise<RunningRegistry> => {
    const registry = await startRegistry({ port: 0, tokens: path, preset: 'fast', intervalMs: 200, log });
    cleanups.push(() => registry.close());
    return registry;
  };
  return { make, revoke, start, log };
}

/** A process with the service `orders`, which answers Heartbeat-1 over HTTP. */
async function startService(url: string, token: string | undefined, log: Log): Promise<Rollcall> {
  const rollcall = new Rollcall(
    { registry: url, service: 'orders', ...(token === undefined ? {} : { token }) },
    { log },
  );
  cleanups.push((await openService(rollcall)).close);
  return rollcall;
}

const soon = { timeout: 8_000, interval: 50 };

it('a service with its token becomes HEALTHY and is found; one without logs why it is refused, and what to do', async () => {
  const { make, start } = await guarded();
  const { token } = await make();
  const reader = await make({ role: 'reader', services: [] });
  const { url } = await start();
  const member = await startService(url, token, recordingLog());
  await expect.poll(() => member.state, soon).toBe('HEALTHY');
  const caller = new Rollcall({ registry: url, token: reader.token });
  cleanups.push(() => caller.close());
  caller.start();
  const states = async () => (await caller.instances('orders')).map(({ state }) => state);
  await expect.poll(states, soon).toEqual(['HEALTHY']);
  const log = recordingLog();
  await startService(url, undefined, log);
  await expect.poll(() => log.texts('error').join('\n'), soon).toMatch(/requires a token.*ROLLCALL_TOKEN/);
});

it('a token is replaced while the service stays HEALTHY, and is refused once it is revoked', async () => {
  const { make, revoke, start, log } = await guarded();
  const old = await make();
  const { url } = await start();
  const first = recordingLog();
  const member = await startService(url, old.token, first);
  await expect.poll(() => member.state, soon).toBe('HEALTHY');
  // rotation: the new token exists before the old one is revoked, and a new process uses it
  const next = await make();
  const link = new HttpRegistryClient({ url, time: systemTime, token: next.token });
  cleanups.push(() => link.close());
  const { signal } = new AbortController();
  const ask = () => link.poll({ namespace: 'default', service: 'orders', revision: null, waitMs: 0, signal });
  await expect.poll(async () => (await ask()).ok, soon).toBe(true);
  const heir = await startService(url, next.token, recordingLog());
  await expect.poll(() => heir.state, soon).toBe('HEALTHY');
  await revoke(old.record.id);
  await expect.poll(() => first.texts('error').join('\n'), soon).toContain(`Token ${old.record.id} was revoked`);
  expect(heir.state).toBe('HEALTHY');
  const output = [...log.texts(), ...first.texts()].join('\n');
  for (const { token } of [old, next]) expect(output).not.toContain(token);
});
