import { Inject, Injectable } from '@nestjs/common';
import { HealthIndicatorService } from '@nestjs/terminus';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { MEMBERSHIP, PORTS } from '../inject.js';
import type { Ports } from '../inject.js';
import type { Membership } from '../registration/membership.js';
import { copyFacts, problemsOf, readHealthOptions } from './terminus-health.js';
import type { HealthFacts, HealthOptions, RollcallHealthOptions } from './terminus-health.js';

export type { RollcallHealthOptions } from './terminus-health.js';

/**
 * A health indicator for @nestjs/terminus: the age of our copies, the connection to the registry, our own state.
 * Provide it beside `TerminusModule`, and use it for *readiness*; do not restart a process because it is disconnected.
 */
@Injectable()
export class RollcallHealthIndicator {
  // private properties, so that the types hide the internals
  @Inject(HealthIndicatorService) private readonly health!: HealthIndicatorService;
  @Inject(MEMBERSHIP) private readonly membership!: Membership;
  @Inject(PORTS) private readonly ports!: Ports;

  /**
   * Down while this process drains, has no copy of a service it calls, or fails a configured condition. Throws
   * OPTION_INVALID.
   */
  isHealthy<const Key extends string>(key: Key, options: RollcallHealthOptions = {}): HealthIndicatorResult<Key> {
    const healthOptions = readHealthOptions(options);
    const facts = this.#look(healthOptions);
    const problems = problemsOf(facts, healthOptions);
    const { registry, state, copies } = facts;
    const check = this.health.check(key);
    return problems.length === 0
      ? check.up({ registry, state, copies })
      : check.down({ registry, state, copies, problems });
  }

  #look({ services }: HealthOptions): HealthFacts {
    const { rollcall, wanted, isDraining } = this.membership;
    const names = new Set([...wanted, ...services]);
    const now = this.ports.time.now();
    const copies = [...names].map((name) => [name, copyFacts(rollcall.service(name), now)] as const);
    return {
      registry: rollcall.status,
      state: rollcall.state,
      isDraining,
      copies: Object.fromEntries(copies),
    };
  }
}
