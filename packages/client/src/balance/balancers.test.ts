import { BALANCER_NAMES, BALANCERS } from './balancers.js';
import type { Balancing } from './balancers.js';
import { balancerContract } from './contract.js';
import { InFlight } from './nodes/loads.js';
import { firstEligible } from './pickers/picker.js';
import type { Picker } from './pickers/picker.js';

for (const name of BALANCER_NAMES) {
  balancerContract({ name, balancing: BALANCERS[name], isWeighted: name !== 'round-robin' });
}

/** As a user may write one: at random, each as good as any other. */
const own: Balancing = {
  picker: (random): Picker => ({
    pick(candidates, pickRequest) {
      const { nodes } = candidates;
      for (let effort = 0; effort < 50; effort += 1) {
        const node = nodes[Math.floor(random.unit() * nodes.length)];
        const isFresh = node !== undefined && random.unit() < node.warmth(pickRequest.now);
        if (isFresh && node !== pickRequest.tried && node !== pickRequest.alsoTried && node.admits(pickRequest.now))
          return node;
      }
      return firstEligible(nodes, 0, pickRequest);
    },
  }),
  load: () => new InFlight(),
};
balancerContract({ name: 'of a user', balancing: own, isWeighted: false });
