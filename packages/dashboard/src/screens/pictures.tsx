import type { HeartbeatsAnswer, Instance, Reason, State } from '@rollcall/core';
import { reasonFor } from '@rollcall/core';
import type { VNode } from 'preact';
import { pictureOf } from '../model/view/picture.js';
import { HeartbeatPicture } from '../parts/charts/picture.js';
import { StateWord } from '../parts/glyph.js';
import { Head } from '../parts/panel.js';

const REFUSED = 'connect ECONNREFUSED 10.0.3.21:3001';

function sample(state: State, code: Reason['code'], detail = ''): Instance {
  return {
    id: 'orders-01a20db1-2190-7c3d-9e2f-5b8a6d4c1e07',
    service: 'orders',
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '10.0.3.21', port: 3001, tls: false }],
    version: '1.4.2',
    zone: 'eu-1b',
    weight: 100,
    metadata: {},
    state,
    reason: reasonFor(code, detail),
    since: 0,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: 0,
    revision: 1,
  };
}

const WORKS = { lastSuccessAgoMs: 2_000, roundTripMs: 1.8, misses: 0, error: null };
const NEVER = { lastSuccessAgoMs: null, roundTripMs: null, misses: 0, error: null };
const SILENT = { lastSuccessAgoMs: 14_000, roundTripMs: null, misses: 2, error: null };
const both = (
  heartbeat1: HeartbeatsAnswer['heartbeat1'],
  heartbeat2: HeartbeatsAnswer['heartbeat2'],
): HeartbeatsAnswer => ({
  heartbeat1,
  heartbeat2,
});

/** Every case of the picture, with the texts of an instance. */
const CASES: readonly (readonly [Instance, HeartbeatsAnswer])[] = [
  [sample('HEALTHY', 'BOTH_WAYS_OK'), both(WORKS, WORKS)],
  [sample('REGISTERING', 'NEW'), both(WORKS, NEVER)],
  [sample('UNHEALTHY', 'INBOUND_REFUSED', REFUSED), both({ ...SILENT, error: REFUSED }, WORKS)],
  [sample('UNHEALTHY', 'OUTBOUND_SILENT'), both(WORKS, SILENT)],
  [sample('UNHEALTHY', 'SILENT'), both({ ...SILENT, error: 'no answer within 2000 ms' }, SILENT)],
  [
    sample('CRITICAL', 'PROOF_OF_DEATH', REFUSED),
    both({ ...SILENT, error: REFUSED }, { ...SILENT, lastSuccessAgoMs: 4_000 }),
  ],
  [sample('UNHEALTHY', 'ADDRESS_SHARED', 'orders…9d35 answers, too'), both(SILENT, WORKS)],
  [sample('DEREGISTERING', 'LEAVING'), both(WORKS, WORKS)],
];

/** The legend: the picture in every state. */
export function Pictures(): VNode {
  return (
    <>
      <Head
        verdict="The heartbeat picture in every state"
        sentence="Top arrow: the registry calls. Bottom arrow: the service calls. The break is drawn where it happens: a cross at the shut door for refused, a wire that fades for silence. The glyph is the picture in small: the upper half is Heartbeat-1, the lower half Heartbeat-2."
      />
      <div class="pictures">
        {CASES.map(([instance, heartbeats]) => (
          <section key={instance.reason.code} class="panel">
            <p class="pictures-state">
              <StateWord instance={instance} />
            </p>
            <HeartbeatPicture
              isSmall
              picture={pictureOf(instance, heartbeats)}
              registry={{ name: 'Registry', lines: [], door: '' }}
              service={{ name: 'Service', lines: [], door: '' }}
            />
          </section>
        ))}
      </div>
    </>
  );
}
