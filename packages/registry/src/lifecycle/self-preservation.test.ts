import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SelfPreservation } from './self-preservation.js';
import type { Count } from './self-preservation.js';

const INTERVAL_MS = 5_000;
const TIMEOUT_MS = 2_000;
const AFTER_MASS_MS = 3 * INTERVAL_MS + TIMEOUT_MS;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Self-preservation with a clock and counts that the test sets. */
class Watch {
  readonly preservation = new SelfPreservation({ intervalMs: INTERVAL_MS, timeoutMs: TIMEOUT_MS });
  now = 0;

  see(counts: Readonly<Record<string, readonly [silent: number, total: number]>>): this {
    const entries = Object.entries(counts).map(([key, [silent, total]]): [string, Count] => [key, { silent, total }]);
    this.preservation.observe(this.now, new Map(entries));
    return this;
  }

  later(ms: number): this {
    this.now += ms;
    return this;
  }

  permits(service = 'orders'): boolean {
    return this.preservation.permit(service, this.now);
  }

  /** Uses the allowance, at most `max` times, and returns how often that was permitted. */
  useUp(service = 'orders', max = Infinity): number {
    for (let uses = 0; ; uses += 1) {
      if (uses === max || !this.permits(service)) return uses;
      this.preservation.use(service, this.now);
    }
  }

  rule(service = 'orders'): string | undefined {
    return this.preservation.hold(service, this.now)?.rule;
  }
}

describe('the allowance', () => {
  it.each([
    [1, 1],
    [6, 1],
    [13, 1],
    [14, 2],
    [40, 6],
    [1_000, 150],
  ])('for %d instances is %d in ten minutes', (total, allowed) => {
    expect(new Watch().see({ orders: [1, total] }).useUp()).toBe(allowed);
  });

  it('is restored ten minutes after each use', () => {
    const watch = new Watch().see({ orders: [1, 14] });
    watch.preservation.use('orders', watch.now);
    watch.later(4 * MINUTE);
    watch.preservation.use('orders', watch.now);
    expect(watch.later(6 * MINUTE - 1).permits()).toBe(false);
    expect(watch.later(1).useUp()).toBe(1);
    expect(watch.later(4 * MINUTE).useUp()).toBe(1);
  });

  it('is a share of the ten-minute peak, so removed instances still count', () => {
    const watch = new Watch().see({ orders: [1, 40] });
    watch.later(MINUTE).see({ orders: [1, 10] });
    expect(watch.useUp()).toBe(6);
  });

  it('shrinks when the peak is ten minutes old', () => {
    const watch = new Watch().see({ orders: [1, 40] });
    watch.later(MINUTE).see({ orders: [1, 10] });
    watch.later(10 * MINUTE).see({ orders: [1, 10] });
    expect(watch.useUp()).toBe(1);
  });

  it('counts a peak until it was replaced, regardless of when it was first seen', () => {
    const watch = new Watch().see({ orders: [1, 40] });
    watch.later(HOUR).see({ orders: [1, 10] });
    expect(watch.useUp()).toBe(6);
  });

  it('exists for each service, and for all of them together', () => {
    const watch = new Watch().see({ orders: [1, 10], billing: [1, 10], users: [1, 10] });
    expect(watch.useUp('orders')).toBe(1);
    expect(watch.rule('orders')).toBe('allowance');
    expect(watch.useUp('billing')).toBe(1);
    expect(watch.useUp('users')).toBe(1);
    const second = new Watch().see({ orders: [1, 10], billing: [1, 3] });
    expect(second.useUp('orders')).toBe(1);
    expect(second.useUp('billing')).toBe(0);
  });

  it('for a service with fewer than three instances is that of the registry', () => {
    const watch = new Watch().see({ orders: [1, 2], others: [0, 40] });
    expect(watch.useUp('orders')).toBe(6);
  });

  it('continues for a service that fell below three instances because some were removed', () => {
    const watch = new Watch().see({ orders: [1, 3], others: [0, 40] });
    expect(watch.useUp('orders')).toBe(1);
    watch.later(MINUTE).see({ orders: [1, 2], others: [0, 40] });
    expect(watch.permits('orders')).toBe(false);
  });
});

describe('a mass', () => {
  it('is more than half, and more than one', () => {
    expect(new Watch().see({ orders: [1, 1] }).permits()).toBe(true);
    expect(new Watch().see({ orders: [20, 40] }).permits()).toBe(true);
    expect(new Watch().see({ orders: [21, 40] }).rule()).toBe('mass');
    expect(new Watch().see({ orders: [2, 2] }).rule()).toBe('mass');
  });

  it('stops everything for an hour, then only the allowance counts', () => {
    const watch = new Watch().see({ orders: [40, 40] });
    watch.later(HOUR - 1).see({ orders: [40, 40] });
    expect(watch.permits()).toBe(false);
    watch.later(1).see({ orders: [40, 40] });
    expect(watch.useUp()).toBe(6);
  });

  it('keeps silence from acting for 3 intervals and a timeout after its end', () => {
    const watch = new Watch().see({ orders: [40, 40] });
    watch.later(15 * MINUTE).see({ orders: [1, 40] });
    expect(watch.later(AFTER_MASS_MS - 1).rule()).toBe('after-mass');
    expect(watch.later(1).permits()).toBe(true);
  });

  it('lasts an hour again if it returns', () => {
    const watch = new Watch().see({ orders: [40, 40] });
    watch.later(59 * MINUTE).see({ orders: [0, 40] });
    watch.later(MINUTE).see({ orders: [40, 40] });
    expect(watch.later(59 * MINUTE).rule()).toBe('mass');
  });

  it('in one service holds only that service', () => {
    const watch = new Watch().see({ orders: [3, 4], billing: [1, 40] });
    expect(watch.permits('orders')).toBe(false);
    expect(watch.permits('billing')).toBe(true);
    expect(watch.preservation.isMass).toBe(true);
  });

  it('needs more than two instances in a service', () => {
    const watch = new Watch().see({ orders: [2, 2], billing: [0, 40] });
    expect(watch.permits('orders')).toBe(true);
    expect(watch.preservation.isMass).toBe(false);
  });

  it('over all holds every service', () => {
    const watch = new Watch().see({ orders: [40, 40], billing: [1, 5] });
    expect(watch.permits('billing')).toBe(false);
    expect(watch.preservation.isMass).toBe(true);
  });

  it('ends when its instances are gone', () => {
    const watch = new Watch().see({ orders: [4, 4] });
    watch.later(MINUTE).see({});
    expect(watch.preservation.isMass).toBe(false);
    expect(watch.later(AFTER_MASS_MS).permits()).toBe(true);
  });
});

describe('the state for operators', () => {
  it('reports that nothing is held', () => {
    const watch = new Watch().see({ orders: [1, 40] });
    expect(watch.preservation.describe(watch.now)).toEqual({
      active: false,
      text: 'off: no instance is held',
      since: null,
    });
  });

  it('reports how many are silent, and since when', () => {
    const watch = new Watch().later(1_000).see({ orders: [21, 40] });
    watch.later(5_000).see({ orders: [22, 40] });
    expect(watch.preservation.describe(watch.now)).toEqual({
      active: true,
      text: '22 of 40 instances are silent at once, so silence takes none of them out for an hour, or until fewer are silent',
      since: 1_000,
    });
  });

  it('names the service if the registry as a whole is healthy', () => {
    const watch = new Watch().see({ 'default/orders': [3, 4], 'default/billing': [0, 40] });
    expect(watch.preservation.describe(watch.now).text).toContain('3 of 4 instances of default/orders are silent');
  });

  it('counts the uses while an instance is silent', () => {
    const watch = new Watch().see({ orders: [2, 10] });
    watch.useUp();
    expect(watch.preservation.describe(watch.now).text).toContain('took out 1 of 10 instances');
    watch.later(MINUTE).see({ orders: [0, 10] });
    expect(watch.preservation.describe(watch.now).active).toBe(false);
  });
});

describe('a restart', () => {
  it('does not refill an allowance', () => {
    const before = new Watch().see({ orders: [1, 40] });
    expect(before.useUp()).toBe(6);
    before.later(4 * MINUTE);
    const after = new Watch().later(HOUR);
    after.preservation.restore(before.preservation.save(before.now), after.now);
    after.see({ orders: [1, 34] });
    expect(after.permits()).toBe(false);
    expect(after.later(6 * MINUTE).useUp()).toBe(6);
  });

  it('keeps the peak', () => {
    const before = new Watch().see({ orders: [1, 40] });
    const after = new Watch();
    after.preservation.restore(JSON.parse(JSON.stringify(before.preservation.save(before.now))), after.now);
    after.see({ orders: [1, 10] });
    expect(after.useUp()).toBe(6);
  });
});

const on = (...hosts: number[]): { host: string }[] => hosts.map((host) => ({ host: `10.0.0.${host}` }));
const doubts = (watch: Watch, refused: { host: string }[], total: number): boolean =>
  watch.preservation.observeRefusals(watch.now, refused, total);

describe('mass refusals', () => {
  it('are doubted when more than half, on three hosts, are refused', () => {
    expect(doubts(new Watch(), on(1, 2, 3), 5)).toBe(true);
  });

  it('are accepted when half are refused, or on two hosts only', () => {
    expect(doubts(new Watch(), on(1, 2, 3), 6)).toBe(false);
    expect(doubts(new Watch(), on(1, 1, 2, 2, 2), 5)).toBe(false);
    expect(doubts(new Watch(), [], 0)).toBe(false);
  });

  it('are doubted until fewer than half were refused for 2 intervals', () => {
    const watch = new Watch();
    doubts(watch, on(1, 2, 3, 4), 4);
    watch.later(1_000);
    expect(doubts(watch, on(1), 4)).toBe(true);
    watch.later(2 * INTERVAL_MS - 1);
    expect(doubts(watch, on(1), 4)).toBe(true);
    watch.later(1);
    expect(doubts(watch, on(1), 4)).toBe(false);
  });

  it('restart the two intervals whenever half are refused', () => {
    const watch = new Watch();
    doubts(watch, on(1, 2, 3, 4), 4);
    doubts(watch, on(1), 4);
    watch.later(2 * INTERVAL_MS - 1);
    doubts(watch, on(1, 2), 4);
    watch.later(1_000);
    expect(doubts(watch, on(1), 4)).toBe(true);
    watch.later(2 * INTERVAL_MS);
    expect(doubts(watch, on(1), 4)).toBe(false);
  });

  it('are part of the state for operators', () => {
    const watch = new Watch().see({ orders: [0, 4] });
    doubts(watch, on(1, 2, 3, 4), 4);
    expect(watch.preservation.describe(watch.now)).toMatchObject({ active: true, since: 0 });
    expect(watch.preservation.doubtsProofs).toBe(true);
  });
});

// ---- laws -----------------------------------------------------------------------------------------------------------

const SERVICES = ['orders', 'billing', 'users'] as const;
const TICK_MS = 15_000;

/** A fleet that does not change for some ticks. */
interface Phase {
  readonly counts: readonly { readonly total: number; readonly silentShare: number }[];
  readonly ticks: number;
}

const share = fc.record({ total: fc.nat(30), silentShare: fc.double({ min: 0, max: 1, noNaN: true }) });
const phase: fc.Arbitrary<Phase> = fc.record({
  counts: fc.array(share, { minLength: SERVICES.length, maxLength: SERVICES.length }),
  ticks: fc.integer({ min: 1, max: 60 }),
});
const history = fc.array(phase, { minLength: 1, maxLength: 30 });

interface Moment {
  readonly at: number;
  readonly counts: ReadonlyMap<string, Count>;
  /** Uses at this time, by service. */
  readonly uses: readonly string[];
}

/** A greedy engine: at each tick it takes out every silent instance that it may. */
function live(plan: readonly Phase[]): Moment[] {
  const watch = new Watch();
  const moments: Moment[] = [];
  for (const { counts, ticks } of plan) {
    const map = new Map(
      SERVICES.map((name, index) => {
        const { total, silentShare } = counts[index] ?? { total: 0, silentShare: 0 };
        return [name, { total, silent: Math.round(total * silentShare) }];
      }),
    );
    for (let step = 0; step < ticks; step += 1) {
      watch.preservation.observe(watch.now, map);
      const uses = [...map].flatMap(([name, { silent }]) => Array<string>(watch.useUp(name, silent)).fill(name));
      moments.push({ at: watch.now, counts: map, uses });
      watch.later(TICK_MS);
    }
  }
  return moments;
}

const sizeOf = (moment: Moment, of: string | null): Count => {
  if (of !== null) return moment.counts.get(of) ?? { total: 0, silent: 0 };
  const all = [...moment.counts.values()];
  return {
    total: all.reduce((sum, { total }) => sum + total, 0),
    silent: all.reduce((sum, { silent }) => sum + silent, 0),
  };
};

/** The contract as a direct, slow implementation. */
function breachOf(moments: readonly Moment[], of: string | null): string | null {
  let massSince: number | null = null;
  for (const [index, moment] of moments.entries()) {
    // the value before the window was valid until the first tick in it
    const first = moments.findIndex(({ at }) => at > moment.at - 10 * MINUTE);
    const peak = Math.max(...moments.slice(Math.max(0, first - 1), index + 1).map((one) => sizeOf(one, of).total));
    const used = moments
      .slice(first, index + 1)
      .flatMap(({ uses }) => uses.filter((name) => of === null || name === of));
    const { total, silent } = sizeOf(moment, of);
    massSince = silent > 1 && silent > total / 2 ? (massSince ?? moment.at) : null;
    const acts = moment.uses.some((name) => of === null || name === of);
    if (!acts || (of !== null && peak < 3)) continue;
    if (used.length > Math.max(1, Math.floor(0.15 * peak))) return `${used.length} uses of a peak of ${peak}`;
    if (massSince !== null && moment.at - massSince < HOUR) return `a use ${moment.at - massSince} ms into a mass`;
  }
  return null;
}

describe('the invariants', () => {
  it('S7: let silence never act on more than 15 % of the ten-minute peak within ten minutes, nor in the first hour of a mass', () => {
    fc.assert(
      fc.property(history, (plan) => {
        const moments = live(plan);
        for (const of of [null, ...SERVICES]) expect(breachOf(moments, of)).toBe(null);
      }),
      { numRuns: 60 },
    );
  });

  it('end each hold: silence may act again an hour and the longest window later', () => {
    fc.assert(
      fc.property(history, (plan) => {
        const moments = live([...plan, ...plan.slice(-1).map((last) => ({ ...last, ticks: 300 }))]);
        const last = moments.at(-1);
        const isSilent = [...(last?.counts.values() ?? [])].some(({ silent }) => silent > 0);
        const recent = moments.slice(-41).flatMap(({ uses }) => uses);
        expect(recent.length > 0).toBe(isSilent);
      }),
      { numRuns: 60 },
    );
  });

  it('leave no state of services that are gone', () => {
    const watch = new Watch();
    for (let index = 0; index < 100; index += 1) watch.later(1_000).see({ [`service-${index}`]: [1, 5] });
    watch.later(1_000).see({});
    watch.later(11 * MINUTE).see({});
    expect(Object.keys(watch.preservation.save(watch.now).services)).toEqual([]);
  });
});
