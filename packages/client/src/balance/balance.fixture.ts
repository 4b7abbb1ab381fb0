import type { Instance, Random, State } from '@rollcall/core';
import { Breaker } from '../breaker/breaker.js';
import { DEFAULT_LIMIT } from '../breaker/limit.js';
import type { LimitTerms } from '../breaker/limit.js';
import { defaultTripRules } from '../breaker/trip-rules.js';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { NO_PREFERENCES } from './arrangement.js';
import { Balancer } from './balancer.js';
import type { BalancerParts } from './balancer.js';
import { PeakEwma, TypicalLatency } from './nodes/loads.js';
import type { Load } from './nodes/loads.js';
import { NodeTable } from './nodes/node-table.js';
import { Node } from './nodes/node.js';
import type { NodeParts } from './nodes/node.js';
import { standardSelector } from './nodes/selector.js';
import type { PickArgs, Picker } from './pickers/picker.js';

export const CALLABLE = standardSelector(['HEALTHY', 'REGISTERING', 'UNHEALTHY']);

/** The arguments of a pick, as a call passes them to the balancer. */
export function createPickArgs(fields: Partial<PickArgs> = {}): PickArgs {
  return {
    now: 0,
    selector: CALLABLE,
    hashKey: null,
    tried: null,
    triedToo: null,
    probes: 'never',
    isProbe: false,
    ...fields,
  };
}

/** A node without a connection. */
function createNode(instance: Instance, random: Random, parts: Pick<NodeParts, 'nodeTable' | 'limit'>): Node {
  return new Node({
    instance,
    endpoint: { protocol: 'tcp', host: '10.0.0.5', port: 3_001, tls: false },
    breaker: new Breaker(defaultTripRules(), random),
    ...parts,
  });
}

export interface BalancerFields {
  readonly picker: Picker;
  readonly random: Random;
  readonly load?: Load;
  readonly limit?: LimitTerms;
  readonly parts?: Partial<BalancerParts<Node>>;
}

/** A balancer whose nodes have no connections. */
export function createBalancer(fields: BalancerFields): Balancer<Node> {
  const nodeTable = new NodeTable(fields.load ?? new PeakEwma(new TypicalLatency()));
  return new Balancer<Node>({
    picker: fields.picker,
    standard: CALLABLE,
    maxEjectedRatio: 0.5,
    preferences: NO_PREFERENCES,
    callerId: 'gateway-1',
    copy: { stale: false },
    intervalMs: () => 5_000,
    create: (instance) => {
      const { random, limit = DEFAULT_LIMIT } = fields;
      return instance.endpoints.length === 0 ? null : createNode(instance, random, { nodeTable, limit });
    },
    hasMoved: (node, instance) => node.endpoint.port !== instance.endpoints[0]?.port,
    retire() {},
    ping() {},
    ...fields.parts,
  });
}

/** Instances in one state, named by their index: `orders-0`, `orders-1`, … */
export function createFleet(count: number, state: State = 'HEALTHY', from = 0): readonly Instance[] {
  return Array.from({ length: count }, (_, i) => createInstance({ id: `orders-${from + i}`, state }));
}
