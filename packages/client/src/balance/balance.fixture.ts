import type { Instance, Random, State } from '@rollcall/core';
import { Breaker } from '../gate/breaker.js';
import { defaultTripRules } from '../gate/trip-rules.js';
import { anInstance } from '../link/link.fixture.js';
import { Balancer } from './balancer.js';
import type { Ask, BalancerParts, Picker, Selector } from './balancer.js';
import { PeakEwma, TypicalLatency } from './loads.js';
import { Node } from './node.js';
import type { Load, Pulse } from './node.js';

export const CALLABLE: Selector = { key: '', states: ['HEALTHY', 'REGISTERING', 'UNHEALTHY'], version: '' };

/** What a call would ask. */
export function anAsk(fields: Partial<Ask> = {}): Ask {
  return { now: 0, selector: CALLABLE, tried: null, triedToo: null, probes: 'never', isProbe: false, ...fields };
}

export interface NodeFields {
  readonly instance?: Partial<Instance>;
  readonly random: Random;
  readonly load?: Load;
  readonly pulse?: Pulse;
}

/** A node without a way to it. */
export function aNode(fields: NodeFields): Node {
  const instance = anInstance(fields.instance);
  return new Node({
    instance,
    endpoint: { protocol: 'tcp', host: '10.0.0.5', port: 3_001, tls: false },
    load: fields.load ?? new PeakEwma(new TypicalLatency()),
    breaker: new Breaker(defaultTripRules(), fields.random),
    pulse: fields.pulse ?? { lastAnswerAt: -Infinity },
  });
}

export interface BalancerFields {
  readonly picker: Picker;
  readonly random: Random;
  readonly load?: () => Load;
  readonly parts?: Partial<BalancerParts<Node>>;
}

/** A balancer whose nodes lead nowhere. */
export function aBalancer(fields: BalancerFields): Balancer<Node> {
  const typical = new TypicalLatency();
  const pulse: Pulse = { lastAnswerAt: -Infinity };
  return new Balancer<Node>({
    picker: fields.picker,
    standard: CALLABLE,
    maxEjectedRatio: 0.5,
    create: (instance) => {
      const load = fields.load?.() ?? new PeakEwma(typical);
      return instance.endpoints.length === 0 ? null : aNode({ instance, random: fields.random, load, pulse });
    },
    hasMoved: (node, instance) => node.endpoint.port !== instance.endpoints[0]?.port,
    retire() {},
    ping() {},
    ...fields.parts,
  });
}

/** Instances named by their place: `orders-0` … in one state. */
export function aFleet(count: number, state: State = 'HEALTHY', from = 0): readonly Instance[] {
  return Array.from({ length: count }, (_, i) => anInstance({ id: `orders-${from + i}`, state }));
}
