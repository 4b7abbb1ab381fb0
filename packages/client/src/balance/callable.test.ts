import { ADMIN_STATES, isCallable, parseOptions, STATES } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { policyFields } from '../call/policy/service-options.js';
import { anInstance } from '../registry-client/registry-client.fixture.js';
import { aBalancer, anAsk } from './balance.fixture.js';
import { standardSelector } from './nodes/selector.js';
import { PowerOfTwo } from './pickers/pickers.js';

const { allowedStates } = parseOptions({ allowedStates: policyFields.allowedStates });
const standard = standardSelector(allowedStates);

/** Is the only instance of its service called, by the defaults? */
function isCalled(instance: ReturnType<typeof anInstance>): boolean {
  const random = seededRandom(1);
  const balancer = aBalancer({ picker: new PowerOfTwo(random), random, parts: { standard } });
  balancer.update([instance], 0);
  return balancer.pick(anAsk({ selector: standard })) !== null;
}

describe('what the registry counts as callable', () => {
  it('is what a caller calls by its defaults, for every state, admin state and weight', () => {
    for (const state of STATES) {
      for (const admin of ADMIN_STATES) {
        for (const weight of [0, 100]) {
          const instance = anInstance({ state, admin, weight });
          expect(isCalled(instance), `${state} ${admin}, weight ${weight}`).toBe(isCallable(instance));
        }
      }
    }
  });
});
