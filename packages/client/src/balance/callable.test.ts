import { ADMIN_STATES, isCallable, parseOptions, STATES } from '@rollcall/core';
import { seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { policyFields } from '../call/policy/service-options.js';
import { createInstance } from '../registry-client/registry-client.fixture.js';
import { createBalancer, createPickArgs } from './balance.fixture.js';
import { standardSelector } from './nodes/selector.js';
import { PowerOfTwo } from './pickers/pickers.js';

const { allowedStates } = parseOptions({ allowedStates: policyFields.allowedStates });
const standard = standardSelector(allowedStates);

/** True if the only instance of a service is called with the default options. */
function isCalled(instance: ReturnType<typeof createInstance>): boolean {
  const random = seededRandom(1);
  const balancer = createBalancer({ picker: new PowerOfTwo(random), random, parts: { standard } });
  balancer.update([instance], 0);
  return balancer.pick(createPickArgs({ selector: standard })) !== null;
}

describe('the instances that the registry counts as callable', () => {
  it('are those that a caller uses by default, for every state, admin state and weight', () => {
    for (const state of STATES) {
      for (const admin of ADMIN_STATES) {
        for (const weight of [0, 100]) {
          const instance = createInstance({ state, admin, weight });
          expect(isCalled(instance), `${state} ${admin}, weight ${weight}`).toBe(isCallable(instance));
        }
      }
    }
  });
});
