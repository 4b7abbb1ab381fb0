import type { Facts } from './facts/facts.js';
import { diagnoseCallable } from './findings/callable.js';
import { diagnoseCalls } from './findings/calls.js';
import { contactFinding } from './findings/contact.js';
import { worstFirst } from './findings/finding.js';
import type { Diagnosis } from './findings/finding.js';
import { diagnoseInstances } from './findings/instances.js';
import { withServices } from './findings/names.js';
import { diagnoseConnection } from './findings/network.js';
import { diagnoseRegistry } from './findings/registry.js';

/** Derives the findings from the facts. */
export function diagnose(facts: Facts): Diagnosis {
  const contactProblem = contactFinding(facts);
  if (contactProblem !== null) {
    const unchecked = ['everything else, because the registry reports neither its own state nor instances'];
    return { findings: [contactProblem], fine: [], unchecked };
  }
  const checks = [diagnoseRegistry, diagnoseConnection, diagnoseCallable, diagnoseCalls, diagnoseInstances];
  const all = checks.map((check) => check(facts));
  return {
    findings: worstFirst(all.flatMap(({ findings }) => findings).map((found) => withServices(found, facts))),
    fine: all.flatMap(({ fine }) => fine),
    unchecked: all.flatMap(({ unchecked }) => unchecked),
  };
}
