import { recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { TokenExpiry } from './token-expiry.js';
import { drawToken } from './tokens.js';
import type { TokenRecord } from './tokens.js';

const DAY_MS = 86_400_000;
const random = seededRandom(7);

function ending(expiresAt: number | null, overrides: Partial<TokenRecord> = {}): TokenRecord {
  const request = { role: 'service', services: ['orders'], note: '', expiresAt } as const;
  return { ...drawToken(random, request, 0).record, ...overrides };
}

function following() {
  const log = recordingLog();
  const endings = new TokenExpiry({ log, path: '/srv/tokens.json' });
  return { endings, warnings: () => log.texts('warn') };
}

describe('tokens that expire soon', () => {
  it('are logged two weeks before, in the order of their end, without invalid ones', () => {
    const { endings, warnings } = following();
    const [late, soon, near] = [ending(15 * DAY_MS), ending(14 * DAY_MS), ending(DAY_MS)];
    const others = [ending(null), ending(0), ending(DAY_MS, { revokedAt: 1 }), late];
    endings.follow([...others, soon, near], 10);
    const expected = `2 tokens end soon: ${near.id} (service orders) in 24 h, ${soon.id} (service orders) in 14 days. `;
    expect(warnings()).toEqual([expect.stringContaining(expected)]);
  });

  it.each([
    [30, '30 min'],
    [90, '90 min'],
    [1_400, '24 h'],
    [3_000, '3 days'],
  ])('are logged with the remaining time: %d minutes are %s', (minutes, expected) => {
    const { endings, warnings } = following();
    endings.follow([ending(minutes * 60_000)], 0);
    expect(warnings()).toEqual([expect.stringContaining(`(service orders) in ${expected}. `)]);
  });

  it('are logged once a day, and at once if there are new ones', () => {
    const { endings, warnings } = following();
    const records = [ending(5 * DAY_MS)];
    for (let hour = 0; hour < 24; hour += 1) endings.follow(records, hour * 3_600_000);
    expect(warnings()).toHaveLength(1);
    endings.follow([...records], 24 * 3_600_000 - 1);
    expect(warnings()).toHaveLength(1);
    endings.follow([...records, ending(6 * DAY_MS)], 24 * 3_600_000 - 1);
    expect(warnings()).toHaveLength(2);
    endings.follow(records, DAY_MS);
    expect(warnings()).toHaveLength(3);
  });

  it('are named up to ten, and not logged if there are none', () => {
    const { endings, warnings } = following();
    endings.follow([ending(null)], 0);
    expect(warnings()).toEqual([]);
    endings.follow(
      Array.from({ length: 12 }, () => ending(DAY_MS)),
      0,
    );
    expect(warnings()).toEqual([expect.stringMatching(/^12 tokens end soon: .*, and 2 more\. Create new ones/)]);
  });
});
