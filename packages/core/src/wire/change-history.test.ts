import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleInstance } from '../testing.js';
import { ServiceSnapshot } from './change.js';
import type { ServiceFrame } from './change.js';
import type { Instance, Tombstone } from './instance.js';
import type { Cursor } from './protocol.js';

const of = { namespace: 'default', service: 'orders' };
const at = (id: string, revision: number): Instance => sampleInstance({ id, revision });
const gone = (id: string, revision: number): Tombstone => ({
  id,
  revision,
  reason: { code: 'GOODBYE', text: 'it left' },
});
const unknown: ServiceFrame = { event: 'unknown', data: of };

const epochOf = (life: number): string => `0192f0c1-0000-7000-8000-${String(life).padStart(12, '0')}`;
const IDS = ['a', 'b', 'c', 'd', 'e'] as const;

/** `a@3 b@4?`: known instances with their revisions; a question mark marks unconfirmed ones. */
function shown(snapshot: ServiceSnapshot): string {
  const entries = snapshot.instances.map(
    ({ id, revision }) => `${id}@${revision}${snapshot.isUnconfirmed(id) ? '?' : ''}`,
  );
  return entries.toSorted().join(' ');
}

/** The current instances of one service, and a log, as a registry keeps them. */
class ModelRegistry {
  epoch = epochOf(1);
  #epochs = 1;
  revision = 0;
  instances = new Map<string, Instance>();
  tombstones = new Map<string, Tombstone>();
  log: { readonly revision: number; readonly id: string }[] = [];

  touch(id: string): void {
    this.revision += 1;
    this.tombstones.delete(id);
    this.instances.set(id, at(id, this.revision));
    this.log.push({ revision: this.revision, id });
  }

  remove(id: string): void {
    if (!this.instances.delete(id)) return;
    this.revision += 1;
    this.tombstones.set(id, gone(id, this.revision));
    this.log.push({ revision: this.revision, id });
  }

  /** One flush: all changes after `from`, each instance once, in its last version. */
  since(from: number): ServiceFrame {
    const ids = new Set(this.log.filter((entry) => entry.revision > from).map((entry) => entry.id));
    const upsert = [...this.instances.values()].filter((each) => ids.has(each.id));
    const remove = [...this.tombstones.values()].filter((each) => ids.has(each.id));
    return { event: 'change', data: { ...of, upsert, remove } };
  }

  reset(parts: number): ServiceFrame[] {
    const all = [...this.instances.values()];
    const { epoch, revision } = this;
    return Array.from({ length: parts }, (_, part) => {
      const instances = all.filter((_each, index) => index % parts === part);
      const data = { ...of, epoch, revision, part, complete: part === parts - 1, instances };
      const removed = [...this.tombstones.values()];
      return { event: 'reset', data: data.complete ? { ...data, removed } : data };
    });
  }

  /** A restart that keeps only these instances, and forgets its tombstones and its revisions. */
  restart(kept: readonly string[]): void {
    this.#epochs += 1;
    this.epoch = epochOf(this.#epochs);
    const survivors = kept.filter((id) => this.instances.has(id));
    this.revision = 0;
    this.log = [];
    this.tombstones.clear();
    this.instances.clear();
    for (const id of survivors) this.touch(id);
  }
}

/** A client on the registry's feed, over connections that end at any moment. */
class Client {
  readonly snapshot = new ServiceSnapshot();
  cursor: Cursor | null = null;
  #queue: ServiceFrame[] = [];
  #sentUpTo = 0;
  #epoch = '';

  /** The old stream is closed, and its remaining frames are dropped. */
  connect(registry: ModelRegistry, parts: number): void {
    const resumes =
      this.cursor !== null && registry.epoch === this.cursor.epoch && this.snapshot.canResume(this.cursor);
    this.#queue = resumes ? [] : registry.reset(parts);
    this.#sentUpTo = resumes ? (this.cursor?.revision ?? 0) : registry.revision;
    this.#epoch = registry.epoch;
  }

  /** One frame arrives: a change comes between the parts of a reset, and a cursor follows the last frame. */
  receive(registry: ModelRegistry, changesFirst: boolean): void {
    if (this.#epoch !== registry.epoch) return;
    const begun =
      this.snapshot.epoch === this.#epoch || this.#queue[0]?.event !== 'reset' || this.#queue[0].data.part > 0;
    if (changesFirst && begun && this.#sentUpTo < registry.revision) this.#flush(registry);
    else this.#take(this.#queue.shift());
    if (this.#queue.length > 0) return;
    this.#flush(registry);
    this.cursor = { epoch: registry.epoch, revision: registry.revision };
  }

  drain(registry: ModelRegistry): void {
    do this.receive(registry, false);
    while (this.#queue.length > 0);
  }

  #flush(registry: ModelRegistry): void {
    this.#take(registry.since(this.#sentUpTo));
    this.#sentUpTo = registry.revision;
  }

  #take(frame: ServiceFrame | undefined): void {
    if (frame !== undefined) expect(this.snapshot.apply(frame)).not.toBe('broken');
  }
}

const id = fc.constantFrom(...IDS);
const parts = fc.integer({ min: 1, max: 3 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('touch' as const), id }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), id }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('receive' as const), changesFirst: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('connect' as const), parts }) },
);
const restart = fc.record({ do: fc.constant('restart' as const), kept: fc.subarray([...IDS]), parts });
type Step = typeof step extends fc.Arbitrary<infer Each> ? Each : never;
type Restart = typeof restart extends fc.Arbitrary<infer Each> ? Each : never;

function run(steps: readonly (Step | Restart)[], check: (client: Client, registry: ModelRegistry) => void = () => {}) {
  const registry = new ModelRegistry();
  const client = new Client();
  client.connect(registry, 1);
  for (const each of steps) {
    if (each.do === 'touch') registry.touch(each.id);
    else if (each.do === 'remove') registry.remove(each.id);
    else if (each.do === 'receive') client.receive(registry, each.changesFirst);
    else {
      if (each.do === 'restart') registry.restart(each.kept);
      client.connect(registry, each.parts);
    }
    check(client, registry);
  }
  client.connect(registry, 2);
  client.drain(registry);
  return { client, registry };
}
const expectedView = (registry: ModelRegistry): string =>
  [...registry.instances.values()]
    .map((each) => `${each.id}@${each.revision}`)
    .toSorted()
    .join(' ');

describe('over any history', () => {
  it('view and changes form the full view within one epoch, through every disconnection', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { client, registry } = run(steps);
        expect(shown(client.snapshot)).toBe(expectedView(registry));
      }),
      { numRuns: 1_000 },
    );
  });

  it('revisions never decrease within an epoch, neither of the service nor of an instance', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: step }, restart), { maxLength: 60 }), (steps) => {
        let epoch: string | null = null;
        let revision = 0;
        let seen = new Map<string, number>();
        run(steps, ({ snapshot }) => {
          if (snapshot.epoch !== epoch) [epoch, revision, seen] = [snapshot.epoch, 0, new Map()];
          expect(snapshot.revision).toBeGreaterThanOrEqual(revision);
          revision = snapshot.revision;
          for (const each of snapshot.instances.filter((known) => !snapshot.isUnconfirmed(known.id))) {
            expect(each.revision).toBeGreaterThanOrEqual(seen.get(each.id) ?? 0);
            seen.set(each.id, each.revision);
          }
        });
      }),
      { numRuns: 500 },
    );
  });

  it('all current instances are known across epochs, and all other known ones are unconfirmed', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: step }, restart), { maxLength: 60 }), (steps) => {
        const { client, registry } = run(steps);
        const confirmed = shown(client.snapshot)
          .split(' ')
          .filter((word) => word !== '' && !word.endsWith('?'));
        expect(confirmed.join(' ')).toBe(expectedView(registry));
      }),
      { numRuns: 1_000 },
    );
  });

  it('a fresh registry never deletes instances that a client knows', () => {
    const fresh = fc.tuple(fc.subarray([...IDS]), fc.array(parts, { minLength: 1, maxLength: 3 }));
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.array(fresh, { minLength: 1, maxLength: 4 }),
        (steps, restarts) => {
          const { client, registry } = run(steps);
          const known = client.snapshot.instances.map((each) => each.id);
          for (const [kept, connections] of restarts) {
            registry.restart(kept);
            for (const count of connections) {
              client.connect(registry, count);
              client.drain(registry);
            }
            client.snapshot.apply(unknown);
            expect(client.snapshot.instances.map((each) => each.id).toSorted()).toEqual(known.toSorted());
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('late frames of an older stream have no effect', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 10 }), (steps, late) => {
        const old: ServiceFrame[] = [];
        const { client, registry } = run(steps, (_client, now) => old.push(now.since(0)));
        for (const index of late) {
          const frame = old[index % Math.max(1, old.length)];
          if (frame !== undefined) expect(client.snapshot.apply(frame)).toBe('same');
        }
        expect(shown(client.snapshot)).toBe(expectedView(registry));
      }),
      { numRuns: 500 },
    );
  });
});
