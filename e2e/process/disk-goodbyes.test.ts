import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drain, listedAt, register, remove, startRegistry, urlOf, weigh } from './by-hand.js';
import type { Listed } from './by-hand.js';
import { endAll } from './spawn.js';
import type { Child } from './spawn.js';

/** `DISK_KILLS=200 npm run e2e -- process disk-goodbyes` is the long one. */
const KILLS = Number(process.env['DISK_KILLS'] ?? 20);
/** Requests under way at once, and how many instances there are for each of them in one life. */
const CLIENTS = 8;
const EACH = 6;

/** What was asked for of an instance, and how a restarted registry shows that it has kept it. */
const DEEDS: readonly {
  readonly name: string;
  readonly status: number;
  readonly ask: (url: string, id: string) => Promise<Response>;
  readonly isKept: (listed: Listed | undefined) => boolean;
}[] = [
  { name: 'goodbye', status: 204, ask: remove, isKept: isGone },
  { name: 'removal', status: 204, ask: (url, id) => remove(url, id, 'operator'), isKept: isGone },
  { name: 'drain', status: 202, ask: drain, isKept: (listed) => listed?.state === 'DEREGISTERING' },
  { name: 'weight', status: 200, ask: (url, id) => weigh(url, id, 7), isKept: (listed) => listed?.weight === 7 },
];

function isGone(listed: Listed | undefined): boolean {
  return listed === undefined;
}

/** Everything that was acknowledged so far: by id, what. */
type Acknowledged = Map<string, (typeof DEEDS)[number]>;

/** Registers some, then asks one thing of each, until the registry is gone. `answered` is called at each acknowledgement. */
async function ask(
  url: string,
  ids: readonly string[],
  acknowledged: Acknowledged,
  answered: () => void,
): Promise<void> {
  for (const id of ids) {
    const deed = DEEDS[Number(id.split('-').at(-1)) % DEEDS.length];
    if (deed === undefined) throw new Error(`no deed for ${id}`);
    const answer = await deed.ask(url, id).catch(() => null);
    if (answer === null) return;
    expect(answer.status).toBe(deed.status);
    acknowledged.set(id, deed);
    answered();
    await answer.text().catch(() => undefined);
  }
}

/** The ends of one life: everybody registers, then all at once is asked, and the kill comes with one of the answers. */
async function live(registry: Child, life: number, acknowledged: Acknowledged): Promise<void> {
  const url = await urlOf(registry);
  const groups = Array.from({ length: CLIENTS }, (_, client) =>
    Array.from({ length: EACH }, (_member, index) => `${life}-${client}-${client + index}`),
  );
  for (const id of groups.flat()) expect((await register(url, id)).status).toBe(201);
  let left = 1 + Math.floor(Math.random() * (CLIENTS * EACH));
  const answered = (): void => {
    left -= 1;
    if (left === 0) registry.kill('SIGKILL');
  };
  await Promise.all(groups.map((ids) => ask(url, ids, acknowledged, answered)));
  await registry.exited;
}

/** A registry that judges nobody, and lets whoever drains take its time. */
function up(folder: string): Child {
  return startRegistry(3_600_000, ['--data', folder]);
}

describe('a registry that is killed right after it has acknowledged', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rollcall-goodbyes-'));
  });
  afterAll(async () => {
    await endAll();
    await rm(folder, { recursive: true });
  });

  it(
    `a goodbye, a removal, a drain or an operator's word, ${KILLS} times, has it still`,
    async () => {
      const acknowledged: Acknowledged = new Map();
      for (let life = 0; life < KILLS; life += 1) await live(up(folder), life, acknowledged);
      const last = up(folder);
      const listed = await listedAt(await urlOf(last));
      const forgotten = [...acknowledged].filter(([id, { isKept }]) => !isKept(listed.get(id)));
      const words = forgotten.map(([id, { name }]) => `${name} of ${id}`);
      expect(words, `${words.length} of ${acknowledged.size} are forgotten`).toEqual([]);
      // or the kills came before anything had happened
      expect(acknowledged.size).toBeGreaterThan(KILLS);
      last.kill('SIGTERM');
      expect(await last.exited).toEqual({ code: 0, signal: null });
    },
    KILLS * 3_000 + 60_000,
  );
});
