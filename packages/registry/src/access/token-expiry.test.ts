import { recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { TokenExpiry } from './token-expiry.js';
import { drawToken } from './tokens.js';
import type { TokenRecord } from './tokens.js';

const DAY_MS = 86_400_000;
const random = seededRandom(7);

function createRecord(expiresAt: number | null, overrides: Partial<TokenRecord> = {}): TokenRecord {
  const request = { role: 'service', services: ['orders'], note: '', expiresAt } as const;
  return { ...drawToken(random, request, 0).record, ...overrides };
}

function createExpiry() {
  const log = recordingLog();
  const expiry = new TokenExpiry({ log, path: '/srv/tokens.json' });
  return { expiry, warnings: () => log.texts('warn') };
}

describe('tokens that expire soon', () => {
  it('are logged two weeks before, in the order of their expiry, without invalid ones', () => {
    const { expiry, warnings } = createExpiry();
    const [late, soon, near] = [createRecord(15 * DAY_MS), createRecord(14 * DAY_MS), createRecord(DAY_MS)];
    const others = [createRecord(null), createRecord(0), createRecord(DAY_MS, { revokedAt: 1 }), late];
    expiry.follow([...others, soon, near], 10);
    const expected = `2 tokens expire soon: ${near.id} (service orders) in 24 h, ${soon.id} (service orders) in 14 days. `;
    expect(warnings()).toEqual([expect.stringContaining(expected)]);
  });

  it.each([
    [30, '30 min'],
    [90, '90 min'],
    [1_400, '24 h'],
    [3_000, '3 days'],
  ])('are logged with the remaining time: %d minutes are %s', (minutes, expected) => {
    const { expiry, warnings } = createExpiry();
    expiry.follow([createRecord(minutes * 60_000)], 0);
    expect(warnings()).toEqual([expect.stringContaining(`(service orders) in ${expected}. `)]);
  });

  it('are logged once a day, and at once if there are new ones', () => {
    const { expiry, warnings } = createExpiry();
    const records = [createRecord(5 * DAY_MS)];
    for (let hour = 0; hour < 24; hour += 1) expiry.follow(records, hour * 3_600_000);
    expect(warnings()).toHaveLength(1);
    expiry.follow([...records], 24 * 3_600_000 - 1);
    expect(warnings()).toHaveLength(1);
    expiry.follow([...records, createRecord(6 * DAY_MS)], 24 * 3_600_000 - 1);
    expect(warnings()).toHaveLength(2);
    expiry.follow(records, DAY_MS);
    expect(warnings()).toHaveLength(3);
  });

  it('are listed, ten at most, and not logged if there are none', () => {
    const { expiry, warnings } = createExpiry();
    expiry.follow([createRecord(null)], 0);
    expect(warnings()).toEqual([]);
    expiry.follow(
      Array.from({ length: 12 }, () => createRecord(DAY_MS)),
      0,
    );
    expect(warnings()).toEqual([expect.stringMatching(/^12 tokens expire soon: .*, and 2 more\. Create new ones/)]);
  });
});
