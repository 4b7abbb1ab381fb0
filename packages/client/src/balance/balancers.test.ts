import { BALANCER_NAMES } from './balancers.js';
import { balancerContract } from './contract.js';

for (const name of BALANCER_NAMES) balancerContract(name);
