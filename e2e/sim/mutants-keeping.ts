import type { Random } from '@rollcall/core';
import type { RegistryClient } from '@rollcall/client';
import { Registry } from '@rollcall/registry';
import type { SharedFrame, Store, WatcherSink } from '@rollcall/registry';
import { Feed, LifecycleEngine, WriteBehind, SelfPreservation, InstanceTable } from '@rollcall/registry/testing';
import { patch, withRegister } from './planting.js';
import type { Mutant } from './planting.js';

/** Bugs in storage, permissions, the feed, and the load on the registry. */
export const KEEPING: readonly Mutant[] = [
  {
    name: 'any secret is accepted for a known id',
    breaks: ['S3'],
    constraints: { kinds: ['thief', 'crash'] },
    plant: () => patch(Registry.prototype, 'register', plantOpenDoor),
  },
  {
    name: 'any caller that knows an id may drain it',
    breaks: ['S3'],
    constraints: { kinds: ['thief'], durationsMs: [18_000] },
    plant: plantOpenDrain,
  },
  {
    name: 'a removed id can be taken by any caller at once',
    breaks: ['S3'],
    constraints: { kinds: ['thief', 'crash'], targets: ['orders'], durationsMs: [25_000, 70_000] },
    plant: () =>
      patch(
        InstanceTable.prototype,
        'bury',
        (bury) =>
          function (this: InstanceTable, entry, tombstone, now) {
            bury.call(this, entry, tombstone, now);
            this.forget(entry.id);
          },
      ),
  },
  {
    name: 'any registration of an address takes it over',
    breaks: ['S3'],
    constraints: { kinds: ['squat'], durationsMs: [5_000] },
    plant: plantEviction,
  },
  {
    name: 'a registration is acknowledged before the disk has it',
    breaks: ['S11'],
    constraints: {
      kinds: ['cut'],
      sim: { services: { orders: 12 }, isDurable: true },
      always: [
        { kind: 'crash', target: 'orders', at: 1_000, forMs: 5 },
        { kind: 'crash', target: 'registry', at: 1_010, forMs: 500 },
      ],
    },
    bugs: { store: acknowledgeEarly },
  },
  {
    name: 'a drain is acknowledged before the disk has it',
    breaks: ['S11'],
    constraints: {
      kinds: ['cut'],
      sim: { services: { orders: 12 }, isDurable: true },
      always: [
        { kind: 'drain', target: 'orders', at: 1_000, forMs: 5 },
        { kind: 'power', target: 'registry', at: 1_005, forMs: 500 },
      ],
    },
    plant: () => patch(WriteBehind.prototype, 'waitUntilStored', () => async () => null),
  },
  {
    name: 'a removal is acknowledged before the disk has it',
    breaks: ['S11'],
    constraints: {
      kinds: ['cut'],
      sim: { services: { orders: 12 }, isDurable: true },
      always: [
        { kind: 'operator', target: 'orders', at: 1_000, forMs: 5 },
        { kind: 'power', target: 'registry', at: 1_003, forMs: 500 },
      ],
    },
    plant: () => patch(WriteBehind.prototype, 'waitUntilStored', () => async () => null),
  },
  {
    name: 'an operator setting is not stored',
    breaks: ['S11'],
    constraints: {
      kinds: ['cut'],
      sim: { services: { orders: 3 }, isDurable: true },
      always: [
        { kind: 'maintenance', target: 'orders-1', at: 1_000, forMs: 60_000 },
        { kind: 'crash', target: 'registry', at: 5_000, forMs: 500 },
      ],
    },
    bugs: { store: dropOperatorSettings },
  },
  {
    name: 'an operator setting is acknowledged and not published',
    breaks: ['S9'],
    constraints: { kinds: ['maintenance', 'draining'], targets: ['orders-1'], durationsMs: [25_000, 70_000] },
    plant: () =>
      patch(
        LifecycleEngine.prototype,
        'amend',
        (amend) =>
          function (this: LifecycleEngine, entry, record, ...others) {
            amend.call(this, entry, { ...record, admin: 'ENABLED' }, ...others);
          },
      ),
  },
  {
    name: 'a change is sent twice',
    breaks: ['S5'],
    constraints: { kinds: ['crash', 'drain'] },
    plant: () => patchSinks(sendTwice),
  },
  {
    name: 'a change is sent after the mark that confirms it',
    breaks: ['S5'],
    constraints: { kinds: ['crash', 'drain'] },
    plant: () => patchSinks(sendLate),
  },
  {
    name: 'silence acts as soon as a mass has ended',
    breaks: ['S7'],
    constraints: {
      kinds: ['cut'],
      targets: ['gateway-1'],
      sim: { services: { orders: 5 } },
      always: [
        { kind: 'cut', target: 'orders-1', at: 0, forMs: 130_000 },
        { kind: 'cut', target: 'orders-2', at: 0, forMs: 40_000 },
        { kind: 'cut', target: 'orders-3', at: 0, forMs: 40_000 },
      ],
    },
    plant: () =>
      patch(
        SelfPreservation.prototype,
        'hold',
        (hold) =>
          function (this: SelfPreservation, service, now) {
            const held = hold.call(this, service, now);
            return held?.rule === 'after-mass' ? null : held;
          },
      ),
  },
  {
    name: 'a stream that has ended is kept',
    breaks: ['L5'],
    constraints: { kinds: ['crash', 'drain'] },
    plant: () =>
      patch(
        Feed.prototype,
        'watch',
        (watch) =>
          function (this: Feed, order, sink, onCut) {
            return { ...watch.call(this, order, sink, onCut), closed() {} };
          },
      ),
  },
  {
    name: 'a registration that is refused temporarily is retried at once',
    breaks: ['L4'],
    constraints: {
      kinds: ['crash'],
      targets: ['orders'],
      sim: { isDurable: true },
      always: [{ kind: 'disk-full', target: 'registry', at: 0, forMs: 100_000 }],
    },
    bugs: { link: retryAtOnce },
  },
  {
    name: 'all instances that the registry has forgotten register again at the same moment',
    breaks: ['L4'],
    constraints: {
      kinds: ['nothing'],
      sim: {
        services: Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`service-${index}`, 5])),
        isDurable: false,
      },
      always: [{ kind: 'crash', target: 'registry', at: 0, forMs: 2_000 }],
    },
    bugs: { random: removeRandomness },
  },
];

const secrets = new WeakMap<Registry, Map<string, string>>();

/** Accepts every caller as the owner: compares no secrets. */
function plantOpenDoor(register: Registry['register']): Registry['register'] {
  return async function (this: Registry, registration, peer) {
    const known = secrets.get(this) ?? new Map<string, string>();
    secrets.set(this, known);
    const secret = known.get(registration.id) ?? registration.secret;
    if (secret !== undefined) known.set(registration.id, secret);
    return register.call(this, { ...registration, ...(secret === undefined ? {} : { secret }) }, peer);
  };
}

function plantOpenDrain(): () => void {
  const undo = [
    patch(
      Registry.prototype,
      'register',
      (register) =>
        async function (this: Registry, registration, peer) {
          const answer = await register.call(this, registration, peer);
          const known = secrets.get(this) ?? new Map<string, string>();
          secrets.set(this, known);
          if (answer.ok) known.set(registration.id, registration.secret ?? '');
          return answer;
        },
    ),
    patch(
      Registry.prototype,
      'drain',
      (drain) =>
        function (this: Registry, id, secret, decisions) {
          return drain.call(this, id, secrets.get(this)?.get(id) ?? secret, decisions);
        },
    ),
  ];
  return () => undo.forEach((undoOne) => undoOne());
}

/** Treats a registration as a proof that the previous instance at the address is gone. */
function plantEviction(): () => void {
  const holders = new WeakMap<object, ReturnType<InstanceTable['holders']>>();
  const undo = [
    patch(
      InstanceTable.prototype,
      'add',
      (add) =>
        function (this: InstanceTable, entry) {
          add.call(this, entry);
          holders.set(entry, this.holders(entry));
        },
    ),
    patch(
      LifecycleEngine.prototype,
      'enter',
      (enter) =>
        function (this: LifecycleEngine, entry, ...others) {
          enter.call(this, entry, ...others);
          for (const { holder } of holders.get(entry) ?? []) {
            this.apply(holder, { type: 'end', code: 'SUPERSEDED', text: `${entry.id} registered its address` });
          }
        },
    ),
  ];
  return () => undo.forEach((undoOne) => undoOne());
}

function acknowledgeEarly(store: Store): Store {
  return {
    name: store.name,
    durable: store.durable,
    load: () => store.load(),
    write: async (writes) => {
      void store.write(writes).catch(() => undefined);
    },
    close: () => store.close(),
  };
}

function dropOperatorSettings(store: Store): Store {
  return {
    name: store.name,
    durable: store.durable,
    load: () => store.load(),
    write: (writes) =>
      store.write(
        writes.map((write) => {
          if (!('put' in write)) return write;
          const { override: _, ...put } = write.put;
          return { put: { ...put, record: { ...put.record, admin: 'ENABLED' as const } } };
        }),
      ),
    close: () => store.close(),
  };
}

/** All changes of the feed come through another sink. */
function patchSinks(createSink: (sink: WatcherSink) => WatcherSink): () => void {
  return patch(
    Feed.prototype,
    'watch',
    (watch) =>
      function (this: Feed, order, sink, onCut) {
        return watch.call(this, order, createSink(sink), onCut);
      },
  );
}

const isChange = ({ frame }: SharedFrame): boolean => frame.event === 'change';

function sendTwice(sink: WatcherSink): WatcherSink {
  let before: readonly SharedFrame[] = [];
  return {
    ...bindSink(sink),
    flush: (frames, cursor) => {
      sink.flush([...frames, ...before], cursor);
      before = frames.filter(isChange);
    },
  };
}

function sendLate(sink: WatcherSink): WatcherSink {
  let before: readonly SharedFrame[] = [];
  return {
    ...bindSink(sink),
    flush: (frames, cursor) => {
      sink.flush([...before, ...frames.filter((frame) => !isChange(frame))], cursor);
      before = frames.filter(isChange);
    },
  };
}

const bindSink = (sink: WatcherSink): WatcherSink => ({
  flush: (frames, cursor) => sink.flush(frames, cursor),
  beat: (cursor) => sink.beat(cursor),
  backlog: () => sink.backlog(),
  end: () => sink.end(),
});

function retryAtOnce(link: RegistryClient): RegistryClient {
  return withRegister(link, async (registration) => {
    let answer = await link.register(registration);
    for (let again = 0; again < 20 && !answer.ok && answer.problem.code === 'NOT_READY'; again += 1) {
      answer = await link.register(registration);
    }
    return answer;
  });
}

/** Values drawn in bytes stay unique. */
function removeRandomness(random: Random): Random {
  return { unit: () => 0.5, bytes: (length) => random.bytes(length) };
}
