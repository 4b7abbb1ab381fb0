import { recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from '../instances/limits.js';
import { MemoryStore } from '../store/memory.js';
import { parseStartOptions } from './start-options.js';
import type { StartOptions } from './start-options.js';
import { startRegistry } from './start.js';

describe('the options of a registry', () => {
  it.each([
    [{ prot: 0 }, 'Did you mean port?'],
    [{ port: 70_000 }, 'a whole number from 0 to 65535'],
    [{ intervalMs: 1_000, timeoutMs: 500 }, 'choose at most 400'],
    [{ allowedNetworks: ['10.0.0.0'] }, 'a network such as 10.0.0.0/8'],
    [{ preset: 'fast', timeoutMs: 500 }, 'choose at most 400'],
    [{ thresholds: { criticalAfter: 2 } }, 'raise criticalAfter, or lower unhealthyAfter'],
    [{ freshEvery: 0 }, 'a whole number from 1 to 1000'],
    [{ maxInstances: 10, maxInstancesPerSource: 11 }, 'choose at most 10, or raise maxInstances'],
    [{ maxInstancesPerService: 20_001 }, 'maxInstancesPerService 20001 is more than maxInstances 20000'],
    [{ maxWatchers: 5, maxWatchersPerSource: 6 }, 'choose at most 5, or raise maxWatchers'],
  ])('are checked before anything is opened: %j', async (options, text) => {
    await expect(startRegistry(options as StartOptions)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(text),
    });
  });

  it('report all flaws of one kind at once', () => {
    const options = { maxInstances: 10, maxInstancesPerSource: 11, maxInstancesPerService: 12 };
    expect(() => parseStartOptions(options)).toThrow(/PerSource 11 .*\n.*PerService 12 /);
  });

  it('default to the limits of the engine', () => {
    expect(parseStartOptions({}).limits).toEqual(DEFAULT_LIMITS);
  });

  it('give half of everything to one source and to one service, and a watcher to every instance', () => {
    expect(parseStartOptions({ maxInstances: 100_000 }).limits).toEqual({
      ...DEFAULT_LIMITS,
      maxInstances: 100_000,
      maxInstancesPerSource: 50_000,
      maxInstancesPerService: 50_000,
      maxInstancesPerToken: 50_000,
      maxRegistrationsPerToken: 100_000,
      maxWatchers: 125_000,
      maxWatchersPerSource: 62_500,
    });
    expect(parseStartOptions({ maxInstances: 1 }).limits).toMatchObject({
      maxInstancesPerSource: 1,
      maxWatchers: 25_000,
    });
    expect(parseStartOptions({ maxInstances: 1_000_000 }).limits.maxWatchers).toBe(1_000_000);
    expect(parseStartOptions({ maxWatchers: 9 }).limits).toMatchObject({ maxWatchers: 9, maxWatchersPerSource: 4 });
  });

  it('do not change a limit that is given', () => {
    const limits = {
      maxInstances: 10,
      maxInstancesPerSource: 10,
      maxInstancesPerService: 9,
      maxInstancesPerToken: 7,
      maxRegistrationsPerToken: 5,
      maxWatchers: 8,
      maxWatchersPerSource: 7,
      maxCalls: 6,
    };
    expect(parseStartOptions(limits).limits).toEqual(limits);
  });

  it.each([
    [{}, { intervalMs: 5_000, timeoutMs: 2_000, freshEvery: 1 }],
    [{ intervalMs: 1_000 }, { intervalMs: 1_000, timeoutMs: 400 }],
    [{ intervalMs: 15_000 }, { intervalMs: 15_000, timeoutMs: 2_000 }],
    [
      { preset: 'fast', freshEvery: 10 },
      { intervalMs: 1_000, timeoutMs: 400, freshEvery: 10 },
    ],
    [
      { preset: 'relaxed', intervalMs: 10_000 },
      { intervalMs: 10_000, timeoutMs: 4_000 },
    ],
  ] as const)('%j make the terms %j', async (options, terms) => {
    const registry = await startRegistry({ port: 0, ...options });
    const answer = (await (await fetch(`${registry.url}/api/v1/registry`)).json()) as { heartbeat: unknown };
    expect(answer.heartbeat).toMatchObject(terms);
    await registry.close();
  });
});

describe('a registry that cannot load its store', () => {
  it('does not start, and leaves nothing open', async () => {
    const store = Object.assign(new MemoryStore(), { load: () => Promise.reject(new Error('damaged')) });
    await expect(startRegistry({ port: 0, store })).rejects.toThrow('damaged');
    await expect(store.write([])).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

async function optionsOf(options: StartOptions): Promise<unknown> {
  const registry = await startRegistry({ port: 0, ...options });
  const answer = (await (await fetch(`${registry.url}/api/v1/registry`)).json()) as { options: unknown };
  await registry.close();
  return answer.options;
}

describe('a registry and its host', () => {
  it('does not warn about default limits, which are rarely reached', async () => {
    const log = recordingLog();
    await (await startRegistry({ port: 0, log })).close();
    expect(log.texts('warn')).toEqual([]);
  });

  it('limits watchers to three quarters of its connections by default', async () => {
    expect(await optionsOf({ maxConnections: 400 })).toMatchObject({
      maxConnections: { value: 400, source: 'option' },
      maxWatchers: { value: 300, source: 'default' },
      maxWatchersPerSource: { value: 150, source: 'default' },
    });
    expect(await optionsOf({ maxConnections: 400, maxWatchers: 350 })).toMatchObject({ maxWatchers: { value: 350 } });
    expect(await optionsOf({ maxConnections: 400, maxWatchersPerSource: 350 })).toMatchObject({
      maxWatchersPerSource: { value: 300 },
    });
  });

  it.runIf(process.platform === 'linux')('warns of a configured limit that no host carries', async () => {
    const log = recordingLog();
    const registry = await startRegistry({ port: 0, log, maxInstances: 1_000_000 });
    await registry.close();
    expect(log.texts('warn').join('\n')).toMatch(/1,000,000 instances .* need .* See docs\/SIZING\.md\./);
  });
});
