import type { CalledService, TopologyAnswer, TopologySummary } from '@rollcall/core';

export function summaryOf({ withinMs, edges }: TopologyAnswer): TopologySummary {
  const called = new Map<string, CalledService>();
  const failing = new Map<string, TopologySummary['failing'][number]>();
  const sum = { calls: 0, callsPerSecond: 0, failures: 0, retries: 0 };
  for (const { namespace, from, to, calls, callsPerSecond, failures, retries } of edges) {
    sum.calls += calls;
    sum.callsPerSecond += callsPerSecond;
    sum.failures += failures;
    sum.retries += retries;
    const known = called.get(`${namespace}/${to}`) ?? { calls: 0, failures: 0, retries: 0 };
    called.set(`${namespace}/${to}`, {
      namespace,
      service: to,
      calls: known.calls + calls,
      failures: known.failures + failures,
      retries: known.retries + retries,
    });
    if (failures === 0) continue;
    const before = failing.get(`${namespace}/${from}`)?.failures ?? 0;
    failing.set(`${namespace}/${from}`, { namespace, service: from, failures: before + failures });
  }
  const callsPerSecond = Math.round(sum.callsPerSecond * 10) / 10;
  return { withinMs, edges: edges.length, ...sum, callsPerSecond, called: sorted(called), failing: sorted(failing) };
}

function sorted<Service>(services: ReadonlyMap<string, Service>): readonly Service[] {
  return [...services.entries()].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, service]) => service);
}
