import type { Facts } from './facts/facts.js';
import { callableDiagnosis } from './findings/callable.js';
import { callsDiagnosis } from './findings/calls.js';
import { contactFinding } from './findings/contact.js';
import { worstFirst } from './findings/finding.js';
import type { Diagnosis } from './findings/finding.js';
import { instanceDiagnosis } from './findings/instances.js';
import { placed } from './findings/names.js';
import { wayDiagnosis } from './findings/network.js';
import { registryDiagnosis } from './findings/registry.js';

/** Derives the findings from the facts. */
export function judge(facts: Facts): Diagnosis {
  const lost = contactFinding(facts);
  if (lost !== null) {
    const unchecked = ['everything else, because the registry reports neither its own state nor instances'];
    return { findings: [lost], fine: [], unchecked };
  }
  const looks = [registryDiagnosis, wayDiagnosis, callableDiagnosis, callsDiagnosis, instanceDiagnosis];
  const all = looks.map((look) => look(facts));
  return {
    findings: worstFirst(all.flatMap(({ findings }) => findings).map((found) => placed(found, facts))),
    fine: all.flatMap(({ fine }) => fine),
    unchecked: all.flatMap(({ unchecked }) => unchecked),
  };
}
