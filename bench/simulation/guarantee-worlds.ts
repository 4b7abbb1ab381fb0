import type { CatalogEntry, Listed, Traffic, World } from './world.js';

// The worlds in which this package may not lose a call that a bare client would have made. They are data:
// guarantee.test.ts checks the guarantee in them, `bench sim` reports the distance from it.

/** A world for a service with `count` instances. */
export interface GuaranteeWorld {
  readonly name: string;
  /** Numbers of instances that the world is made for: 1, 3. */
  readonly hosts: readonly number[];
  world(hosts: number): World;
}

const DEADLINE_MS = 5_000;
const NEVER_ENDS = Infinity;
const ONE_OR_THREE = [1, 3];

const all = (hosts: number): readonly number[] => Array.from({ length: hosts }, (_, host) => host);
const listed = (hosts: readonly number[], state: Listed['state'] = 'HEALTHY', deaths = 0): readonly Listed[] =>
  hosts.map((host) => ({ host, deaths, state }));
const list = (atMs: number, instances: readonly Listed[]): CatalogEntry => ({ atMs, kind: 'list', instances });

/** A steady load, half of which is idempotent. */
function steady(seconds: number, perSecond: number, fields: Partial<Traffic> = {}): readonly Traffic[] {
  const load = { fromMs: 0, toMs: 1_000 * seconds, perSecond: perSecond / 2, deadlineMs: DEADLINE_MS, workMs: 10 };
  return [
    { ...load, method: 'find', isIdempotent: true, ...fields },
    { ...load, method: 'pay', isIdempotent: false, ...fields },
  ];
}

const burst = (atMs: number, atOnce: number): Traffic => ({
  fromMs: atMs,
  toMs: atMs,
  atOnce,
  method: 'import',
  deadlineMs: DEADLINE_MS,
  isIdempotent: false,
  workMs: 10,
});

/** Two callers of a service that is 0.5 ms away; each instance handles 20 requests at once, 2,000 a second. */
function calm(hosts: number, seconds = 12): World {
  return {
    hosts,
    workers: 20,
    callers: 2,
    delayMs: 0.5,
    seconds,
    faults: [],
    catalog: [list(0, listed(all(hosts)))],
    loads: steady(seconds, 60),
  };
}

const paused = (name: string, ms: number): GuaranteeWorld => ({
  name,
  hosts: ONE_OR_THREE,
  world: (hosts) => ({
    ...calm(hosts),
    faults: [{ kind: 'pause', fromMs: 4_000, toMs: 4_000 + ms, hosts: all(hosts) }],
  }),
});

export const GUARANTEE_WORLDS: readonly GuaranteeWorld[] = [
  { name: 'nothing wrong', hosts: ONE_OR_THREE, world: (hosts) => calm(hosts, 6) },
  {
    name: 'short deadlines beside a burst of 1,000',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 8),
      workers: 8,
      loads: [...steady(8, 20), ...steady(8, 40, { method: 'glance', deadlineMs: 100 }), burst(2_000, 1_000)],
    }),
  },
  {
    name: '5,000 at once',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({ ...calm(hosts, 2), loads: [burst(1_000, 5_000)] }),
  },
  paused('a pause of all for 1.5 s', 1_500),
  paused('a pause of all for 3 s', 3_000),
  {
    name: 'a pause of one of three for 3 s',
    hosts: [3],
    world: (hosts) => ({ ...calm(hosts), faults: [{ kind: 'pause', fromMs: 4_000, toMs: 7_000, hosts: [0] }] }),
  },
  { name: '300 ms each way from the start', hosts: ONE_OR_THREE, world: (hosts) => ({ ...calm(hosts), delayMs: 300 }) },
  {
    name: '300 ms each way after 10 s',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 20),
      faults: [{ kind: 'delay', ms: 300, fromMs: 10_000, toMs: NEVER_ENDS, hosts: all(hosts) }],
    }),
  },
  {
    name: 'all cut off for 2 s',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({ ...calm(hosts), faults: [{ kind: 'cut', fromMs: 4_000, toMs: 6_000, hosts: all(hosts) }] }),
  },
  {
    name: 'all cut off for 8 s',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 18),
      faults: [{ kind: 'cut', fromMs: 4_000, toMs: 12_000, hosts: all(hosts) }],
    }),
  },
  {
    name: 'one of three cut off for 8 s',
    hosts: [3],
    world: (hosts) => ({ ...calm(hosts, 16), faults: [{ kind: 'cut', fromMs: 4_000, toMs: 12_000, hosts: [0] }] }),
  },
  {
    name: 'known after 3 s',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({ ...calm(hosts, 8), catalog: [list(3_000, listed(all(hosts)))] }),
  },
  {
    name: 'not started at first',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 8),
      faults: [{ kind: 'dead', fromMs: 0, toMs: 2_000, hosts: all(hosts) }],
      catalog: [
        list(0, []),
        list(2_200, listed(all(hosts), 'REGISTERING', 1)),
        list(5_000, listed(all(hosts), 'HEALTHY', 1)),
      ],
    }),
  },
  {
    name: 'unknown to the registry at first',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 8),
      faults: [{ kind: 'dead', fromMs: 0, toMs: 2_050, hosts: all(hosts) }],
      catalog: [{ atMs: 100, kind: 'unknown' }, list(2_000, listed(all(hosts), 'REGISTERING', 1))],
    }),
  },
  {
    name: 'all REGISTERING',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 10),
      catalog: [list(0, listed(all(hosts), 'REGISTERING')), list(6_000, listed(all(hosts)))],
      loads: [...steady(10, 60), burst(2_000, 300)],
    }),
  },
  {
    name: 'all REGISTERING and not listening yet',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 10),
      faults: [{ kind: 'dead', fromMs: 0, toMs: 2_000, hosts: all(hosts) }],
      catalog: [list(0, listed(all(hosts), 'REGISTERING', 1)), list(3_000, listed(all(hosts), 'HEALTHY', 1))],
    }),
  },
  {
    name: 'a pause of the callers for 10 s',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({ ...calm(hosts, 20), faults: [{ kind: 'caller-pause', fromMs: 4_000, toMs: 14_000 }] }),
  },
  {
    name: 'one late call every 5 s beside steady 60',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 18),
      workers: 200,
      callers: 1,
      loads: [
        ...steady(18, 300, { workMs: 200, isSteady: true }),
        ...[5_000, 10_000, 15_000].map((atMs) => ({
          ...burst(atMs, 1),
          method: 'report',
          deadlineMs: 1_000,
          workMs: 6_000,
        })),
      ],
    }),
  },
  {
    name: 'one is killed and comes back',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts),
      faults: [{ kind: 'dead', fromMs: 4_000, toMs: 6_000, hosts: [0] }],
      catalog: [
        list(0, listed(all(hosts))),
        list(4_100, listed(all(hosts).slice(1))),
        list(6_300, [...listed(all(hosts).slice(1)), ...listed([0], 'REGISTERING', 1)]),
        list(9_000, [...listed(all(hosts).slice(1)), ...listed([0], 'HEALTHY', 1)]),
      ],
    }),
  },
  {
    name: 'one is killed while the registry is away',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts),
      faults: [{ kind: 'dead', fromMs: 4_000, toMs: 6_000, hosts: [0] }],
      catalog: [
        list(0, listed(all(hosts))),
        { atMs: 3_000, kind: 'lost' },
        list(8_000, [...listed(all(hosts).slice(1)), ...listed([0], 'HEALTHY', 1)]),
      ],
    }),
  },
  {
    name: 'refused for good',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts),
      loads: [...steady(12, 60), ...steady(12, 30, { method: 'quit', isRefused: true })],
    }),
  },
  {
    name: 'overloaded, as they report, for 1 s',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts),
      faults: [{ kind: 'overloaded', retryAfterMs: 300, fromMs: 4_000, toMs: 5_000, hosts: all(hosts) }],
    }),
  },
  {
    name: '2.2 x slower for 4 s at 70 % load',
    hosts: ONE_OR_THREE,
    world: (hosts) => ({
      ...calm(hosts, 8),
      workers: 4,
      isShort: true,
      faults: [{ kind: 'slow', factor: 2.2, fromMs: 2_000, toMs: 6_000, hosts: all(hosts) }],
      loads: steady(8, 280 * hosts, { deadlineMs: 1_000 }),
    }),
  },
];
