import { BALANCER_NAMES, BALANCERS } from './balancers.js';
import type { Balancing } from './balancers.js';
import { balancerContract } from './contract.js';
import { InFlight } from './nodes/loads.js';
import { findAvailable } from './pickers/picker.js';
import type { Picker } from './pickers/picker.js';

for (const name of BALANCER_NAMES) {
  balancerContract({ name, balancing: BALANCERS[name], isWeighted: name !== 'round-robin' });
}

/** A custom balancer: picks at random and ignores the load. */
const own: Balancing = {
  picker: (random): Picker => ({
    pick(candidates, args) {
      const { nodes } = candidates;
      for (let effort = 0; effort < 50; effort += 1) {
        const node = nodes[Math.floor(random.unit() * nodes.length)];
        const isFresh = node !== undefined && random.unit() < node.warmth(args.now);
        if (isFresh && node !== args.tried && node !== args.triedToo && node.admits(args.now)) return node;
      }
      return findAvailable(nodes, 0, args);
    },
  }),
  load: () => new InFlight(),
};
balancerContract({ name: 'of a user', balancing: own, isWeighted: false });
