import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { KEPT_MS, LOOKUP_MS, DnsLookups, MAX_LOOKUPS, MAX_LOOKUPS_PER_SOURCE } from './dns.js';

const [A, B, C] = ['10.0.0.5', '10.0.0.6', '10.0.0.7'] as const;

/** Lookups that wait until `answer` answers them. */
function createLookups() {
  const time = new ManualTime();
  const lookedUp: string[] = [];
  const open = new Map<string, () => void>();
  const lookups = new DnsLookups((host) => {
    lookedUp.push(host);
    return new Promise((answered) => open.set(host, () => answered('10.9.9.9')));
  }, time);
  const find = async (host: string, peer: string): Promise<string> => {
    const found = await lookups.find(host, peer);
    return typeof found === 'object' ? found.address : found;
  };
  /** Answers a lookup; throws if there is none. */
  const answer = async (host: string): Promise<void> => {
    const answered = open.get(host);
    if (answered === undefined) throw new Error(`${host} was not asked for`);
    open.delete(host);
    answered();
    await time.advanceBy(0);
  };
  return { time, lookedUp, find, answer };
}

describe('DnsLookups', () => {
  it('looks up two names at a time, even if only one source waits', async () => {
    const { lookedUp, find, answer } = createLookups();
    const all = ['a', 'b', 'c'].map((host) => find(host, A));
    expect(lookedUp).toEqual(['a', 'b']);
    await answer('b');
    expect(lookedUp).toEqual(['a', 'b', 'c']);
    await answer('c');
    await answer('a');
    expect(await Promise.all(all)).toEqual(['10.9.9.9', '10.9.9.9', '10.9.9.9']);
  });

  it('serves sources in turns, one name each, regardless of the queue of another', async () => {
    const { lookedUp, find, answer } = createLookups();
    const many = Array.from({ length: MAX_LOOKUPS_PER_SOURCE }, (_, index) => find(`a-${index}`, A));
    const others = [find('b-0', B), find('b-1', B), find('c-0', C)];
    expect(lookedUp).toEqual(['a-0', 'a-1']);
    await answer('a-1');
    await answer('b-0');
    await answer('c-0');
    await answer('b-1');
    expect(lookedUp).toEqual(['a-0', 'a-1', 'b-0', 'c-0', 'b-1', 'a-2']);
    expect(await Promise.all(others)).toEqual(['10.9.9.9', '10.9.9.9', '10.9.9.9']);
    expect(many).toHaveLength(MAX_LOOKUPS_PER_SOURCE);
  });

  it('looks up a name of one source even while it waits in the queue of another', async () => {
    const { lookedUp, find, answer } = createLookups();
    for (const host of ['a-0', 'a-1', 'a-2', 'localhost']) void find(host, A);
    const found = find('localhost', B);
    await answer('a-0');
    expect(lookedUp).toEqual(['a-0', 'a-1', 'localhost']);
    await answer('localhost');
    expect(await found).toBe('10.9.9.9');
  });

  it('keeps a late lookup, and then its answer, for the next attempt, for a limited time', async () => {
    const { time, lookedUp, find, answer } = createLookups();
    const first = [find('a-0', A), find('a-1', A), find('b', B), find('c', C)];
    await time.advanceBy(LOOKUP_MS);
    expect(await Promise.all(first)).toEqual(['late', 'late', 'late', 'late']);
    await answer('a-0');
    await answer('b');
    await answer('c');
    expect(await find('b', B)).toBe('10.9.9.9');
    expect(lookedUp).toEqual(['a-0', 'a-1', 'b', 'c']);
    await time.advanceBy(KEPT_MS);
    const again = find('c', C);
    expect(lookedUp).toEqual(['a-0', 'a-1', 'b', 'c', 'c']);
    await answer('c');
    expect(await again).toBe('10.9.9.9');
  });

  it('gives a source with a slow name only one place for a minute, and leaves the other to other sources', async () => {
    const { time, lookedUp, find, answer } = createLookups();
    for (let i = 0; i < 6; i += 1) void find(`a-${i}`, A);
    await time.advanceBy(LOOKUP_MS);
    await answer('a-0');
    await answer('a-1');
    expect(lookedUp).toEqual(['a-0', 'a-1', 'a-2']);
    for (const host of ['b-0', 'b-1']) {
      const found = find(host, B);
      await answer(host);
      expect(await found).toBe('10.9.9.9');
    }
    await answer('a-2');
    expect(lookedUp).toEqual(['a-0', 'a-1', 'a-2', 'b-0', 'b-1', 'a-3']);
    await time.advanceBy(KEPT_MS);
    void find('a-6', A);
    expect(lookedUp.slice(6)).toEqual(['a-4']);
  });

  it('looks up a name once for all waiters of a source, and again after they got it', async () => {
    const { lookedUp, find, answer } = createLookups();
    const both = [find('a', A), find('a', A)];
    await answer('a');
    expect(await Promise.all(both)).toEqual(['10.9.9.9', '10.9.9.9']);
    void find('a', A);
    expect(lookedUp).toEqual(['a', 'a']);
  });

  it('limits the lookups of one source and of all, and frees their places', async () => {
    const { time, find, answer } = createLookups();
    const sources = MAX_LOOKUPS / MAX_LOOKUPS_PER_SOURCE;
    for (let source = 0; source < sources; source += 1) {
      for (let i = 0; i < MAX_LOOKUPS_PER_SOURCE; i += 1) void find(`${source}-${i}`, `10.1.1.${source}`);
      if (source === 0) expect(await find('more', '10.1.1.0')).toBe('greedy');
    }
    expect(await find('another', A)).toBe('busy');
    await answer('0-0');
    const found = find('another', A);
    await answer('0-1');
    // all earlier lookups have their turn first
    expect(await Promise.race([found, time.advanceBy(LOOKUP_MS).then(() => found)])).toBe('late');
  });

  it('returns not-found if the resolver fails', async () => {
    const time = new ManualTime();
    const lookups = new DnsLookups(async () => {
      throw new Error('ENOTFOUND');
    }, time);
    expect(await lookups.find('a', A)).toBe('not-found');
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});
