import { callableDiagnosis } from './callable-finding.js';
import { contactFinding } from './contact-findings.js';
import type { Facts } from './facts.js';
import { worstFirst } from './finding.js';
import type { Diagnosis } from './finding.js';
import { instanceDiagnosis } from './instance-findings.js';
import { registryDiagnosis } from './registry-findings.js';
import { wayDiagnosis } from './way-findings.js';

/** What is wrong, by what was seen. */
export function judge(facts: Facts): Diagnosis {
  const lost = contactFinding(facts);
  if (lost !== null) {
    const unchecked = ['everything else, because the registry does not tell of itself or of anybody'];
    return { findings: [lost], fine: [], unchecked };
  }
  const all = [registryDiagnosis, wayDiagnosis, callableDiagnosis, instanceDiagnosis].map((look) => look(facts));
  return {
    findings: worstFirst(all.flatMap(({ findings }) => findings)),
    fine: all.flatMap(({ fine }) => fine),
    unchecked: all.flatMap(({ unchecked }) => unchecked),
  };
}
