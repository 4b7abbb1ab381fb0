import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { codeOf, SECOND, value, RegistryFixture } from '../registry.fixture.js';
import { MemoryStore } from '../store/memory.js';
import type { Store } from '../store/store.js';

const ID = 'orders-1';

/** Starts a registry on the store of an earlier one, `wall` ms since 1970, whose instance still answers. */
async function startOn(store: Store, wall?: number): Promise<RegistryFixture> {
  const fixture = new RegistryFixture({ store });
  if (wall !== undefined) fixture.time.shiftWall(wall - fixture.time.wall());
  await fixture.registry.start();
  fixture.addService(ID, 3001);
  return fixture;
}

const KEYS = ['a', 'b', 'c'];
const anySettings = fc.record({
  weight: fc.integer({ min: 0, max: 1_000 }),
  metadata: fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom('own-1', 'own-2'), { maxKeys: 3 }),
});
const anyPatch = fc.record(
  {
    admin: fc.constantFrom('ENABLED', 'DRAINING', 'MAINTENANCE'),
    weight: fc.option(fc.integer({ min: 0, max: 1_000 })),
    metadata: fc.option(fc.dictionary(fc.constantFrom(...KEYS), fc.option(fc.constantFrom('op-1', 'op-2')))),
    /** From now, s, plus a half: never at the time of a check. */
    untilS: fc.option(fc.integer({ min: 0, max: 12 })),
  },
  { requiredKeys: [] },
);
const anyStep = fc.oneof(
  fc.record({ step: fc.constant('register' as const), words: anySettings }),
  fc.record({ step: fc.constant('patch' as const), patch: anyPatch }),
  fc.record({ step: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ step: fc.constant('restart' as const) }),
);
type Step = typeof anyStep extends fc.Arbitrary<infer Value> ? Value : never;
type Settings = typeof anySettings extends fc.Arbitrary<infer Value> ? Value : never;

/** The expected result, computed without the code under test. */
class Model {
  own: Settings = { weight: 100, metadata: {} };
  admin = 'ENABLED';
  weight: number | null = null;
  metadata = new Map<string, string>();
  readonly ends = { admin: Infinity, weight: Infinity, metadata: Infinity };
  nowS = 0;

  apply(step: Step): void {
    if (step.step === 'register') this.own = step.words;
    if (step.step === 'wait') this.nowS += step.seconds;
    if (step.step === 'patch') this.#patch(step.patch);
    for (const setting of ['admin', 'weight', 'metadata'] as const)
      if (this.nowS > this.ends[setting]) this.#end(setting);
  }

  get effective() {
    const metadata = { ...this.own.metadata, ...Object.fromEntries(this.metadata) };
    return { admin: this.admin, weight: this.weight ?? this.own.weight, metadata };
  }

  #patch({ admin, weight, metadata, untilS }: typeof anyPatch extends fc.Arbitrary<infer Value> ? Value : never): void {
    this.admin = admin ?? this.admin;
    if (weight !== undefined) this.weight = weight;
    if (metadata === null) this.metadata.clear();
    for (const [key, setting] of Object.entries(metadata ?? {})) {
      if (setting === null) this.metadata.delete(key);
      else this.metadata.set(key, setting);
    }
    const named = { admin, weight, metadata };
    const hasNoSetting = Object.values(named).every((setting) => setting === undefined);
    const at = untilS == null ? Infinity : this.nowS + untilS + 0.5;
    for (const setting of ['admin', 'weight', 'metadata'] as const) {
      if (named[setting] !== undefined || (hasNoSetting && untilS !== undefined)) this.ends[setting] = at;
    }
  }

  #end(setting: 'admin' | 'weight' | 'metadata'): void {
    this.ends[setting] = Infinity;
    if (setting === 'admin') this.admin = 'ENABLED';
    if (setting === 'weight') this.weight = null;
    if (setting === 'metadata') this.metadata.clear();
  }
}

describe('after any registrations, patches, waits and restarts', () => {
  it("callers get the operator's setting if there is one, else the instance's own", async () => {
    const property = fc.asyncProperty(fc.array(anyStep, { maxLength: 12 }), async (steps) => {
      const store = new MemoryStore();
      const model = new Model();
      let fixture = await startOn(store);
      await fixture.registerHealthy(ID, 3001);
      for (const step of steps) {
        if (step.step === 'register') value(await fixture.register(ID, 3001, step.words));
        if (step.step === 'wait') await fixture.time.advanceBy(step.seconds * SECOND);
        if (step.step === 'restart') fixture = await startOn(store, fixture.time.wall());
        if (step.step === 'patch') {
          const { untilS, ...patch } = step.patch;
          const until = untilS == null ? untilS : fixture.time.wall() + (untilS + 0.5) * SECOND;
          const request = { ...patch, ...(until === undefined ? {} : { untilMs: until }) };
          const answer = await fixture.registry.amend(ID, request, { operator: true });
          const hasSetting = Object.keys(patch).length > 0;
          expect(codeOf(answer)).toBe(hasSetting || hasOverride(model) ? 'ok' : 'INVALID');
          if (!answer.ok) continue;
        }
        model.apply(step);
        const { admin, weight, metadata, own, override } = fixture.record(ID);
        expect({ admin, weight, metadata }).toEqual(model.effective);
        expect(own).toEqual(model.own);
        expect(override !== null).toBe(hasOverride(model));
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });
});

const hasOverride = ({ admin, weight, metadata }: Model): boolean =>
  admin !== 'ENABLED' || weight !== null || metadata.size > 0;
