import { ServiceSnapshot } from '@rollcall/core';
import type { Beat, Event, InstanceId, Time } from '@rollcall/core';
import type { RegistryClient } from '@rollcall/client';
import { Registry } from '@rollcall/registry';
import type { ProbeProtocol } from '@rollcall/registry';
import { Feed, LifecycleEngine, SelfPreservation, ProvedHosts, InstanceTable } from '@rollcall/registry/testing';
import type { Fault } from './faults.js';
import { patch, withRegister, replaced } from './planting.js';
import type { Mutant } from './planting.js';

/** The registry restarts; and what has happened to others by then. */
const down: Fault = { kind: 'crash', target: 'registry', at: 0, forMs: 5_000 };
const frozen = (target: string): Fault => ({ kind: 'stop', target, at: 2_000, forMs: 70_000 });
const rejected = (target: string): readonly Fault[] =>
  (['refuse-in', 'block-out', 'no-line'] as const).map((kind) => ({ kind, target, at: 2_000, forMs: 70_000 }));

/** Bugs in the registry's decisions, and in how its clients act on them. */
export const JUDGING: readonly Mutant[] = [
  {
    name: 'one direction is enough for HEALTHY',
    breaks: ['S1', 'S2'],
    constraints: { kinds: ['block-in', 'block-out', 'crash'], targets: ['orders', 'all'] },
    plant: () =>
      patch(
        LifecycleEngine.prototype,
        'apply',
        (apply) =>
          function (this: LifecycleEngine, entry, event: Event) {
            const isKept = apply.call(this, entry, event);
            return isKept && event.type === 'heartbeat-2' ? apply.call(this, entry, { type: 'proved' }) : isKept;
          },
      ),
  },
  {
    name: 'silence never expires',
    breaks: ['S1', 'L2'],
    constraints: { kinds: ['stop', 'cut', 'power'] },
    plant: () => patch(LifecycleEngine.prototype, 'sweep', () => () => {}),
  },
  {
    name: 'silence is measured with the wall clock',
    breaks: ['S1', 'S7', 'S10', 'L1'],
    constraints: { kinds: ['wall', 'block-in'], targets: ['registry'] },
    bugs: { time: useWallClock },
  },
  {
    name: 'time in which the registry was stopped is forgiven without a limit',
    breaks: ['S1', 'L2'],
    constraints: { kinds: ['stop', 'block-out'], targets: ['registry'], durationsMs: [25_000, 40_000, 70_000] },
    plant: () => {
      replaced.forgive = (vitals, ms) => ({
        ...vitals,
        inboundAt: vitals.inboundAt + ms,
        anyInboundAt: vitals.anyInboundAt + ms,
        outboundAt: vitals.outboundAt + ms,
      });
      return () => {
        replaced.forgive = null;
      };
    },
  },
  {
    name: 'a Heartbeat-2 that is sent again counts again',
    breaks: ['S1', 'L2'],
    constraints: { kinds: ['replay', 'stop'], targets: ['orders'], durationsMs: [70_000, 130_000] },
    plant: () => {
      let seq = 1_000_000;
      return patch(
        Registry.prototype,
        'beat',
        (beat) =>
          function (this: Registry, id, secret, sent: Beat) {
            seq += 1;
            return beat.call(this, id, secret, { ...sent, seq });
          },
      );
    },
  },
  {
    name: 'any process that answers at the address is taken for the instance',
    breaks: ['S1', 'S2'],
    constraints: { kinds: ['displace', 'usurp'] },
    bugs: { caller: acceptAnyIdentity },
  },
  {
    name: 'a caller does not verify the identity of the callee',
    breaks: ['S13'],
    constraints: { kinds: ['displace', 'usurp', 'crash'] },
    bugs: { identity: () => null },
  },
  {
    name: 'a refusal is a proof of death, whatever the state of the line',
    breaks: ['S7', 'S8'],
    constraints: { kinds: ['refuse-in', 'block-in'] },
    plant: () =>
      patch(
        LifecycleEngine.prototype,
        'apply',
        (apply) =>
          function (this: LifecycleEngine, entry, event: Event) {
            const isRefused = event.type === 'call-failed' && event.refused;
            return apply.call(this, entry, isRefused ? { type: 'proof', text: event.text } : event);
          },
      ),
  },
  {
    name: 'the last callable instance is not protected',
    breaks: ['S7', 'S8'],
    constraints: { kinds: ['block-in', 'block-out', 'cut-in'] },
    plant: () => patch(InstanceTable.prototype, 'substitutes', () => () => ({ healthy: true, callable: true })),
  },
  {
    name: 'self-preservation counts per moment, not in ten minutes',
    breaks: ['S7'],
    constraints: { kinds: ['cut', 'stop', 'block-in'], targets: ['orders-1', 'orders-2', 'orders-3'] },
    plant: plantBudgetPerTick,
  },
  {
    name: 'a restart refills what self-preservation has used',
    breaks: ['S7'],
    constraints: {
      kinds: ['cut'],
      targets: ['orders-1', 'orders-2'],
      durationsMs: [40_000],
      sim: { services: { orders: 5 }, isDurable: true },
      always: [{ kind: 'crash', target: 'registry', at: 50_000, forMs: 5_000 }],
    },
    plant: () => patch(SelfPreservation.prototype, 'restore', () => () => {}),
  },
  {
    name: 'a restarted registry trusts every refusal, even from a host with proved instances',
    breaks: ['S7'],
    constraints: {
      kinds: ['block-out', 'refuse-in'],
      targets: ['orders-1', 'orders-2'],
      sim: { services: { orders: 5 }, isDurable: true },
      always: [down, ...rejected('orders-1'), ...rejected('orders-2')],
    },
    plant: () => patch(ProvedHosts.prototype, 'include', () => () => true),
  },
  {
    name: 'a restarted registry treats a probe without an answer as a refusal',
    breaks: ['S7'],
    constraints: {
      kinds: ['stop'],
      targets: ['orders-1', 'orders-3'],
      sim: { services: { orders: 8 }, hosts: 2, isDurable: true },
      always: [down, frozen('orders-1'), frozen('orders-3'), frozen('orders-5')],
    },
    plant: () =>
      patch(
        LifecycleEngine.prototype,
        'apply',
        (apply) =>
          function (this: LifecycleEngine, entry, event: Event) {
            return apply.call(this, entry, event.type === 'call-failed' ? { ...event, refused: true } : event);
          },
      ),
  },
  {
    name: 'a mass of silent instances does not delay removals',
    breaks: ['S7'],
    constraints: { kinds: ['cut', 'block-in', 'stop'], targets: ['orders', 'all'], durationsMs: [40_000, 70_000] },
    plant: () =>
      patch(
        SelfPreservation.prototype,
        'observe',
        (observe) =>
          function (this: SelfPreservation, now, counts) {
            return observe.call(this, now, new Map([...counts].map(([key, { total }]) => [key, { total, silent: 0 }])));
          },
      ),
  },
  {
    name: 'a removal is missing from the feed',
    breaks: ['S4', 'S6', 'L1'],
    constraints: { kinds: ['crash', 'drain'] },
    plant: () => patch(Feed.prototype, 'bury', () => () => {}),
  },
  {
    name: 'a feed resumes one revision too far',
    breaks: ['S4', 'L1'],
    constraints: { kinds: ['cut', 'block-in'], targets: ['gateway-1', 'orders-1'], durationsMs: [40_000, 70_000] },
    plant: () =>
      patch(
        Feed.prototype,
        'watch',
        (watch) =>
          function (this: Feed, order, sink, onCut) {
            const cursor = order.cursor === null ? null : { ...order.cursor, revision: order.cursor.revision + 1 };
            return watch.call(this, { ...order, cursor }, sink, onCut);
          },
      ),
  },
  {
    name: 'the list of a registry that lost its memory is trusted at once',
    breaks: ['S6', 'S8'],
    constraints: { kinds: ['crash', 'cut', 'block-out'], targets: ['registry', 'orders-1'] },
    plant: () =>
      patch(
        ServiceSnapshot.prototype,
        'apply',
        (apply) =>
          function (this: ServiceSnapshot, frame) {
            const applied = apply.call(this, frame);
            if (frame.event === 'reset') for (const id of unconfirmed(this)) this.disprove(id);
            return applied;
          },
      ),
  },
  {
    name: 'a tombstone also removes a later registration of the id',
    breaks: ['S4', 'L1'],
    constraints: { kinds: ['cut', 'stop'] },
    plant: plantStickyTombstones,
  },
  {
    name: 'a service registers only once',
    breaks: ['L1', 'L3'],
    constraints: { kinds: ['crash', 'cut', 'power'] },
    bugs: { link: registerOnce },
  },
];

function useWallClock(time: Time): Time {
  return {
    now: () => time.wall(),
    wall: () => time.wall(),
    setTimer: (ms, run, options) => time.setTimer(ms, run, options),
  };
}

function acceptAnyIdentity(caller: ProbeProtocol): ProbeProtocol {
  return {
    protocol: caller.protocol,
    call: async (endpoint, call, timeoutMs) => {
      const outcome = await caller.call(endpoint, call, timeoutMs);
      return outcome.kind === 'answered' ? { ...outcome, instance: call.instance } : outcome;
    },
    close: () => caller.close(),
  };
}

function registerOnce(link: RegistryClient): RegistryClient {
  let isRegistered = false;
  return withRegister(link, async (registration) => {
    if (isRegistered) return new Promise(() => {});
    const answer = await link.register(registration);
    isRegistered = answer.ok;
    return answer;
  });
}

function plantBudgetPerTick(): () => void {
  const used = new WeakMap<SelfPreservation, number>();
  const totals = new WeakMap<SelfPreservation, number>();
  const undo = [
    patch(
      SelfPreservation.prototype,
      'observe',
      (observe) =>
        function (this: SelfPreservation, now, counts) {
          used.set(this, 0);
          totals.set(
            this,
            [...counts.values()].reduce((sum, { total }) => sum + total, 0),
          );
          observe.call(this, now, counts);
        },
    ),
    patch(
      SelfPreservation.prototype,
      'use',
      () =>
        function (this: SelfPreservation) {
          used.set(this, (used.get(this) ?? 0) + 1);
        },
    ),
    patch(
      SelfPreservation.prototype,
      'permit',
      (permit) =>
        function (this: SelfPreservation, service, now) {
          const max = Math.max(1, Math.floor(0.15 * (totals.get(this) ?? 0)));
          return permit.call(this, service, now) && (used.get(this) ?? 0) < max;
        },
    ),
  ];
  return () => undo.forEach((undoOne) => undoOne());
}

function unconfirmed(snapshot: ServiceSnapshot): InstanceId[] {
  return snapshot.instances.map(({ id }) => id).filter((id) => snapshot.isUnconfirmed(id));
}

function plantStickyTombstones(): () => void {
  const tombstones = new WeakMap<ServiceSnapshot, Set<InstanceId>>();
  return patch(
    ServiceSnapshot.prototype,
    'apply',
    (apply) =>
      function (this: ServiceSnapshot, frame) {
        const dead = tombstones.get(this) ?? new Set();
        tombstones.set(this, dead);
        if (frame.event !== 'change') return apply.call(this, frame);
        for (const { id } of frame.data.remove) dead.add(id);
        const upsert = frame.data.upsert.filter(({ id }) => !dead.has(id));
        return apply.call(this, { ...frame, data: { ...frame.data, upsert } });
      },
  );
}
