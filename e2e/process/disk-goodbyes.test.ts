import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isShort } from '../variants.js';
import { drain, fetchListed, register, remove, startRegistry, urlOf, setWeight } from './plain-requests.js';
import type { Listed } from './plain-requests.js';
import { endAll } from './spawn.js';
import type { Child } from './spawn.js';

/** `DISK_KILLS=200 npm run e2e -- process disk-goodbyes` runs it for longer. */
const KILLS = Number(process.env['DISK_KILLS'] ?? (isShort ? 8 : 20));
/** Concurrent requests, and the number of instances for each of them per run of the registry. */
const CLIENTS = 8;
const INSTANCES_PER_CLIENT = 6;

/** The request for an instance, and how a restarted registry shows that it has kept its effect. */
const ACTIONS: readonly {
  readonly name: string;
  readonly status: number;
  readonly send: (url: string, id: string) => Promise<Response>;
  readonly isKept: (listed: Listed | undefined) => boolean;
}[] = [
  { name: 'goodbye', status: 204, send: remove, isKept: isGone },
  { name: 'removal', status: 204, send: (url, id) => remove(url, id, 'operator'), isKept: isGone },
  { name: 'drain', status: 202, send: drain, isKept: (listed) => listed?.state === 'DEREGISTERING' },
  {
    name: 'weight',
    status: 200,
    send: (url, id) => setWeight(url, id, 7),
    isKept: (listed) => listed?.weight === 7,
  },
];

function isGone(listed: Listed | undefined): boolean {
  return listed === undefined;
}

/** What was acknowledged so far, by id. */
type Acknowledged = Map<string, (typeof ACTIONS)[number]>;

/**
 * Registers some, then sends one request for each, until the registry is gone. `answered` is called at each
 * acknowledgement.
 */
async function sendActions(
  url: string,
  ids: readonly string[],
  acknowledged: Acknowledged,
  answered: () => void,
): Promise<void> {
  for (const id of ids) {
    const action = ACTIONS[Number(id.split('-').at(-1)) % ACTIONS.length];
    if (action === undefined) throw new Error(`no action for ${id}`);
    const answer = await action.send(url, id).catch(() => null);
    if (answer === null) return;
    expect(answer.status).toBe(action.status);
    acknowledged.set(id, action);
    answered();
    await answer.text().catch(() => undefined);
  }
}

/**
 * One run of the registry: all instances register, then all requests are sent at once, and the kill follows one of the
 * answers.
 */
async function runRegistry(registry: Child, life: number, acknowledged: Acknowledged): Promise<void> {
  const url = await urlOf(registry);
  const groups = Array.from({ length: CLIENTS }, (_, client) =>
    Array.from({ length: INSTANCES_PER_CLIENT }, (_member, index) => `${life}-${client}-${client + index}`),
  );
  for (const id of groups.flat()) expect((await register(url, id)).status).toBe(201);
  let left = 1 + Math.floor(Math.random() * (CLIENTS * INSTANCES_PER_CLIENT));
  const answered = (): void => {
    left -= 1;
    if (left === 0) registry.kill('SIGKILL');
  };
  await Promise.all(groups.map((ids) => sendActions(url, ids, acknowledged, answered)));
  await registry.exited;
}

/** A registry that decides nothing, and does not limit drains. */
function startUndecidingRegistry(folder: string): Child {
  return startRegistry(3_600_000, ['--data', folder]);
}

describe('a registry that is killed right after an acknowledgement', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-goodbyes-'));
  });
  afterAll(async () => {
    await endAll();
    await rm(folder, { recursive: true });
  });

  it(
    `keeps each goodbye, removal, drain and operator's setting that it acknowledged, ${KILLS} times`,
    async () => {
      const acknowledged: Acknowledged = new Map();
      for (let life = 0; life < KILLS; life += 1)
        await runRegistry(startUndecidingRegistry(folder), life, acknowledged);
      const last = startUndecidingRegistry(folder);
      const listed = await fetchListed(await urlOf(last));
      const forgotten = [...acknowledged].filter(([id, { isKept }]) => !isKept(listed.get(id)));
      const lost = forgotten.map(([id, { name }]) => `${name} of ${id}`);
      expect(lost, `${lost.length} of ${acknowledged.size} are forgotten`).toEqual([]);
      // else the kills came before anything had happened
      expect(acknowledged.size).toBeGreaterThan(KILLS);
      last.kill('SIGTERM');
      expect(await last.exited).toEqual({ code: 0, signal: null });
    },
    KILLS * 8_000 + 60_000,
  );
});
