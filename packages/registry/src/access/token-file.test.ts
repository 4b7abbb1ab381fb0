import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import {
  chmod,
  chown,
  lstat,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startRegistry } from '../http/start.js';
import { changeTokens, readTokens, Tokens } from './token-file.js';
import { drawToken, MAX_TOKENS } from './tokens.js';
import type { TokenRecord, TokenRequest } from './tokens.js';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function createPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-tokens-'));
  cleanups.push(() => rm(folder, { recursive: true }));
  return join(folder, 'inner', 'tokens.json');
}

const random = seededRandom(3);
const draw = (request: Partial<TokenRequest> = {}) =>
  drawToken(random, { role: 'reader', services: [], note: '', expiresAt: null, ...request }, 0);

/** A file with one token, and the tokens that are read from it. */
async function openTokens() {
  const path = await createPath();
  const first = draw();
  await changeTokens(path, () => [first.record]);
  const time = new ManualTime();
  const log = recordingLog();
  const tokens = await Tokens.open({ path, time, log });
  cleanups.push(() => tokens.close());
  /** Advances the registry by a second, and waits for its reads of the disk. */
  const advanceSecond = async (): Promise<void> => {
    const before = time.pending().background;
    await time.advanceBy(1_000);
    await expect.poll(() => time.pending().background).toBe(before);
  };
  return { path, first, time, log, tokens, advanceSecond };
}

function refuse(): never {
  throw new Error('no such token');
}

/** The user `nobody`, which runs a registry that another user administers. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

/** Runs a function as a user other than root: it changes the effective user of the whole process. */
async function asOtherUser<Result>(run: () => Promise<Result>): Promise<Result> {
  process.seteuid?.(NOBODY);
  try {
    return await run();
  } finally {
    process.seteuid?.(0);
  }
}

/** The path in a folder of this user, with a file of tokens unless `records` is null. */
async function createFileOf(user: number, records: readonly TokenRecord[] | null): Promise<string> {
  const path = await createPath();
  await changeTokens(path, () => records ?? []);
  if (records === null) await rm(path);
  else await chown(path, user, user);
  await chown(dirname(path), user, user);
  await chmod(dirname(dirname(path)), 0o755);
  return path;
}

describe.runIf(isRoot)('changing the tokens of another user’s registry', () => {
  it('keeps the owner of the file, which can read the change', async () => {
    const { record } = draw();
    const path = await createFileOf(NOBODY, [record]);
    await changeTokens(path, () => [{ ...record, revokedAt: 1 }]);
    expect(await asOtherUser(() => readTokens(path))).toEqual([{ ...record, revokedAt: 1 }]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('creates the first file for the owner of the folder', async () => {
    const { record } = draw();
    const path = await createFileOf(NOBODY, null);
    await changeTokens(path, () => [record]);
    expect(await asOtherUser(() => readTokens(path))).toEqual([record]);
    expect(await stat(path)).toMatchObject({ uid: NOBODY, gid: NOBODY });
  });

  it('creates the first file for the current user if it may not change the owner', async () => {
    const { record } = draw();
    const path = await createFileOf(0, null);
    await chmod(dirname(path), 0o777);
    await asOtherUser(() => changeTokens(path, () => [record]));
    expect(await asOtherUser(() => readTokens(path))).toEqual([record]);
  });

  it('is refused, and changes nothing, if the owner could not read the file any more', async () => {
    const { record } = draw();
    const path = await createFileOf(0, [record]);
    await chmod(dirname(path), 0o777);
    await chmod(path, 0o644);
    const changing = asOtherUser(() => changeTokens(path, () => []));
    await expect(changing).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringMatching(/belongs to user 0 and group 0, .* could no longer read .* as user 0, or as root/),
    });
    expect(await readTokens(path)).toEqual([record]);
    expect(await readdir(dirname(path))).toEqual(['tokens.json']);
  });
});

describe('changing the tokens', () => {
  it('creates a file that only its owner can read', async () => {
    const path = await createPath();
    const { record } = draw();
    await changeTokens(path, (records) => [...records, record]);
    expect(await readTokens(path)).toEqual([record]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('keeps the read permissions of the file, and lets only its owner write', async () => {
    const path = await createPath();
    await changeTokens(path, () => []);
    await chmod(path, 0o664);
    await changeTokens(path, () => []);
    expect((await stat(path)).mode & 0o777).toBe(0o644);
  });

  it('changes the file behind a link, for readers that use another name', async () => {
    const path = await createPath();
    const { record } = draw();
    await changeTokens(path, () => [record]);
    const link = `${path}.link`;
    await symlink('tokens.json', link);
    await changeTokens(link, () => [{ ...record, revokedAt: 1 }]);
    expect(await readTokens(path)).toEqual([{ ...record, revokedAt: 1 }]);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
  });

  it('is refused at a dangling link, as its former content is unknown', async () => {
    const path = await createPath();
    await changeTokens(path, () => []);
    await rm(path);
    await symlink('gone.json', path);
    await expect(changeTokens(path, () => [])).rejects.toThrow('a dangling link');
  });

  it('changes nothing if it fails half-way', async () => {
    const path = await createPath();
    await changeTokens(path, () => [draw().record]);
    const before = await readFile(path, 'utf8');
    await expect(changeTokens(path, refuse)).rejects.toThrow('no such token');
    expect(await readFile(path, 'utf8')).toBe(before);
    expect(await readdir(join(path, '..'))).toEqual(['tokens.json']);
  });

  it('is refused if the file would exceed the number of tokens that can be read', async () => {
    const path = await createPath();
    const one = draw().record;
    await changeTokens(path, () => [one]);
    const many = Array.from({ length: MAX_TOKENS + 1 }, (_, index) => ({ ...one, id: String(index) }));
    await expect(changeTokens(path, () => many)).rejects.toThrow('remove the expired and revoked ones from the file');
    expect(await readTokens(path)).toEqual([one]);
  });

  it('loses no acknowledged change of concurrent processes', async () => {
    const path = await createPath();
    const drawn = Array.from({ length: 8 }, () => draw().record);
    const results = await Promise.allSettled(
      drawn.map((record) => changeTokens(path, (records) => [...records, record])),
    );
    const done = drawn.filter((_, index) => results[index]?.status === 'fulfilled');
    expect(done.length).toBeGreaterThan(0);
    expect(((await readTokens(path)) ?? []).map(({ id }) => id).toSorted()).toEqual(
      done.map(({ id }) => id).toSorted(),
    );
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'STORE_LOCKED' });
  });

  it('does not overwrite an unreadable file', async () => {
    const path = await createPath();
    await changeTokens(path, () => []);
    await writeFile(path, 'not ours');
    await expect(changeTokens(path, () => [])).rejects.toMatchObject({ code: 'STORE_UNREADABLE' });
    expect(await readFile(path, 'utf8')).toBe('not ours');
  });
});

describe('the tokens of a running registry', () => {
  it('are refused without a file, with the command that creates one', async () => {
    const path = await createPath();
    const opening = Tokens.open({ path, time: new ManualTime(), log: recordingLog() });
    await expect(opening).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining('rollcall token create'),
    });
  });

  it('are valid a second after their creation, and invalid a second after their revocation', async () => {
    const { path, first, tokens, advanceSecond } = await openTokens();
    const second = draw();
    expect(tokens.find(second.token).kind).toBe('unknown');
    await changeTokens(path, (records) => [...records, second.record]);
    await advanceSecond();
    expect(tokens.find(second.token).kind).toBe('valid');
    expect(tokens.find(first.token).kind).toBe('valid');
    let changes = 0;
    tokens.onChange(() => (changes += 1));
    await changeTokens(path, (records) => records.map((record) => ({ ...record, revokedAt: 1 })));
    await advanceSecond();
    expect(tokens.find(first.token).kind).toBe('revoked');
    expect(tokens.isValid(second.record.id)).toBe(false);
    expect(changes).toBe(1);
    await advanceSecond();
    expect(changes).toBe(1);
  });

  it('report a token that expires, even if the file does not change', async () => {
    const { path, time, tokens, advanceSecond } = await openTokens();
    const brief = draw({ expiresAt: time.wall() + 2_500 });
    await changeTokens(path, (records) => [...records, brief.record]);
    await advanceSecond();
    let changes = 0;
    tokens.onChange(() => (changes += 1));
    await advanceSecond();
    expect([tokens.isValid(brief.record.id), changes]).toEqual([true, 0]);
    await advanceSecond();
    expect([tokens.isValid(brief.record.id), changes]).toEqual([false, 1]);
  });

  it('are unchanged while the file is missing or damaged, which is logged once', async () => {
    const { path, first, tokens, log, advanceSecond } = await openTokens();
    await rename(path, `${path}.away`);
    await advanceSecond();
    await advanceSecond();
    expect(tokens.find(first.token).kind).toBe('valid');
    expect(tokens.find(draw().token).kind).toBe('unknown');
    expect(log.texts('error')).toHaveLength(1);
    await writeFile(path, '{"version":1,');
    await advanceSecond();
    expect(tokens.find(first.token).kind).toBe('valid');
    expect(log.texts('error')).toHaveLength(2);
    await writeFile(path, '{"version":1,"tokens":[]}');
    await advanceSecond();
    expect(tokens.find(first.token).kind).toBe('unknown');
  });

  it('warn of a file that other users may write, and of one without a valid token', async () => {
    const path = await createPath();
    await changeTokens(path, () => []);
    await chmod(path, 0o666);
    const log = recordingLog();
    const tokens = await Tokens.open({ path, time: new ManualTime(), log });
    await tokens.close();
    expect(log.texts('warn').join('\n')).toMatch(/no client has access[\s\S]*chmod 600/);
  });

  it('warn of tokens that expire soon, at once and while they are served', async () => {
    const path = await createPath();
    const day = 86_400_000;
    const time = new ManualTime();
    const { record } = draw();
    await changeTokens(path, () => [{ ...record, expiresAt: time.wall() + 13 * day }]);
    const log = recordingLog();
    const tokens = await Tokens.open({ path, time, log });
    cleanups.push(() => tokens.close());
    const expiryWarnings = () => log.texts('warn').filter((text) => text.includes('expires soon'));
    expect(expiryWarnings()).toEqual([expect.stringContaining(`${record.id} (`)]);
  });

  it('warn of a folder in which any user may replace the file', async () => {
    const { path, log } = await openTokens();
    const warnings = async (mode: number): Promise<string> => {
      await chmod(dirname(path), mode);
      const before = log.texts('warn').length;
      await (await Tokens.open({ path, time: new ManualTime(), log })).close();
      return log.texts('warn').slice(before).join('\n');
    };
    expect(await warnings(0o777)).toMatch(/may replace .*tokens\.json.*chmod o-w .*inner$/);
    // sticky, as /tmp is: only the owner of a file may replace it
    expect(await warnings(0o1777)).toBe('');
    expect(await warnings(0o775)).toBe('');
  });

  it.runIf(isRoot)('are reported as unreadable if this user may not read them', async () => {
    const { record } = draw();
    const path = await createFileOf(0, [record]);
    await chmod(dirname(path), 0o755);
    await expect(asOtherUser(() => readTokens(path))).rejects.toMatchObject({
      code: 'STORE_UNREADABLE',
      message: `The tokens in ${path} cannot be read: this user may not read there (EACCES): change the rights of the file or the folder, or its owner.`,
    });
  });

  it('are not checked by a registry that did not start', async () => {
    const { path } = await openTokens();
    const time = new ManualTime();
    const broken = {
      port: 0,
      tokens: path,
      time,
      heartbeatTls: { ca: '-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----' },
    };
    await expect(startRegistry(broken)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    expect(time.pending()).toEqual({ background: 0, foreground: 0 });
  });

  it('keep no process alive, and can be closed twice', async () => {
    const { time, tokens } = await openTokens();
    expect(time.pending()).toMatchObject({ foreground: 0 });
    await Promise.all([tokens.close(), tokens.close()]);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});
