import { messageOf } from '@rollcall/core';
import type { InstanceId, Log, Suspicion, Time } from '@rollcall/core';
import type { Contact } from './connection-status.js';
import type { RegistryClient } from './registry-client.js';

export interface FailureReportsParts {
  readonly time: Time;
  readonly log: Log;
  readonly link: RegistryClient;
  readonly contact: Contact;
  /** The instance id of this process. */
  readonly by: string;
}

/** The maximum number of reports in flight; more would not make the registry probe sooner. */
const MAX_IN_FLIGHT = 16;
/** The minimum time between two reports of one instance. */
const REPORT_INTERVAL_MS = 1_000;
/** The maximum number of reported instances that are remembered. */
const MAX_REPORTED = 256;

/**
 * Reports instances that failed our calls to the registry, so that it probes them at once. Reports are only hints:
 * excess reports, and reports without a registry, are dropped. One instance is reported at most once a second. (The
 * registry limits reports, too.)
 */
export class FailureReports {
  readonly #parts: FailureReportsParts;
  readonly #reportedAt = new Map<InstanceId, number>();
  #inFlight = 0;

  constructor(parts: FailureReportsParts) {
    this.#parts = parts;
  }

  report(id: InstanceId, outcome: Suspicion['outcome']): void {
    if (this.#parts.contact.status !== 'connected' || this.#inFlight >= MAX_IN_FLIGHT) return;
    const now = this.#parts.time.now();
    if (now < (this.#reportedAt.get(id) ?? -Infinity) + REPORT_INTERVAL_MS) return;
    if (this.#reportedAt.size >= MAX_REPORTED) this.#reportedAt.clear();
    this.#reportedAt.set(id, now);
    void this.#send(id, outcome);
  }

  async #send(id: InstanceId, outcome: Suspicion['outcome']): Promise<void> {
    const { link, log, by } = this.#parts;
    this.#inFlight += 1;
    try {
      const answer = await link.suspect(id, { by, outcome });
      if (!answer.ok) log.debug(`The registry refused the suspicion of ${id}: ${answer.problem.detail}`);
    } catch (error) {
      log.debug(`The suspicion of ${id} did not reach the registry: ${messageOf(error)}`);
    } finally {
      this.#inFlight -= 1;
    }
  }
}
