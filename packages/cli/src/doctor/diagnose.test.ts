import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { countCallable } from '@rollcall/core';
import type { RefusedAnswer } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { diagnose } from './diagnose.js';
import {
  answered,
  beats,
  facts,
  failed,
  failure,
  instanceFacts,
  NOW,
  refused,
  registryFacts,
  callEdge,
} from './doctor.fixture.js';
import type { Facts, ProbeFailure, InstanceFacts, PortProbe, RegistryFacts } from './facts/facts.js';
import { FINDING_CODES, GRAVITIES } from './findings/finding.js';
import type { Finding, FindingCode } from './findings/finding.js';

const guide = readFileSync(
  fileURLToPath(new URL('../../../../docs/guide/troubleshooting.md', import.meta.url)),
  'utf8',
);

const registry = (overrides: Partial<RegistryFacts>): Partial<Facts> => ({
  registry: { ...registryFacts, ...overrides },
});
const instances = (...all: readonly InstanceFacts[]): Partial<Facts> => ({ instances: all });
const endpoint = { protocol: 'tcp', host: '127.0.0.1', port: 4001, tls: false } as const;
const probeResult = (outcome: PortProbe['outcome'], text: string): PortProbe[] => [{ endpoint, outcome, text }];
const unhealthyBecause = (code: 'INBOUND_REFUSED' | 'INBOUND_SILENT' | 'OUTBOUND_SILENT' | 'ADDRESS_SHARED') =>
  ({ state: 'UNHEALTHY', reason: { code, text: `it is ${code}` } }) as const;
const REFUSED = 'connect ECONNREFUSED 127.0.0.1:4001';
const endpointsAt = (host: string) => [{ ...endpoint, host }];
const fixAt = (url: string): string | undefined =>
  diagnose(facts({ ...failed('ECONNREFUSED', REFUSED), url })).findings[0]?.fix.join('\n');
const refusedWith = (code: string): Partial<Facts> => {
  const answer: RefusedAnswer = {
    code,
    detail: 'why',
    fix: 'what',
    from: '10.0.0.5',
    service: 'orders',
    times: 3,
    agoMs: 4_000,
  };
  return registry({ refused: [answer] });
};

const ABSENT = { isRegistry: false, epoch: null, instances: 0, text: REFUSED };
const PRESENT = {
  isRegistry: true,
  epoch: 'epoch-2',
  instances: 5,
  text: 'a registry of epoch epoch-2 with 5 instances',
};
/** Some of ten tries failed. */
const withFailures = (...failures: readonly ProbeFailure[]): Partial<Facts> => ({
  attempts: { count: 10, failures, largestAnswer: 900 },
});

/** An answer that broke off after its head. */
const brokenOff = (received: number, announced: number | null): ProbeFailure =>
  failure('ETIMEDOUT', `${received} of ${announced ?? '?'} bytes of an answer came, and no more`, {
    progress: { isConnected: true, isAnswered: true, received, announced },
  });
const held = { outcome: 'held', afterMs: 2_500, text: 'it lasts' } as const;
const codesIn = (overrides: Partial<Facts>): readonly string[] =>
  diagnose(facts(overrides)).findings.map(({ code }) => code);

/** The facts that provoke each finding, and its evidence. */
const CASES: Readonly<Record<FindingCode, readonly [Partial<Facts>, RegExp]>> = {
  'registry-not-listening': [failed('ECONNREFUSED', REFUSED), /ECONNREFUSED/],
  'registry-name-unknown': [failed('ENOTFOUND', 'getaddrinfo ENOTFOUND x'), /ENOTFOUND/],
  'registry-silent': [failed('ETIMEDOUT', 'no answer within 3000 ms'), /no answer within/],
  'registry-at-other-address': [
    {
      ...failed('ECONNREFUSED', REFUSED),
      addresses: [
        { address: '127.0.0.1', isNamed: true, ...ABSENT },
        { address: '::1', isNamed: false, ...PRESENT },
      ],
    },
    /at ::1 alone: a registry/,
  ],
  'registry-closes-connections': [failed('ECONNRESET', 'socket hang up'), /hang up \(ECONNRESET\), 2 of 2 tries/],
  'registry-speaks-tls': [failed('ECONNRESET', 'socket hang up', 'it speaks TLS. Write https.'), /hang up/],
  'registry-speaks-no-tls': [
    failed('EPROTO', 'wrong version number', 'it speaks no TLS. Write http.'),
    /wrong version/,
  ],
  'registry-certificate': [
    failed('CERT_HAS_EXPIRED', 'certificate has expired', 'its certificate has expired.'),
    /expired/,
  ],
  'not-a-registry': [
    answered({ status: 404, server: 'nginx', text: '<h1>shop</h1>', body: undefined }),
    /404 \(nginx.*shop/,
  ],
  'registry-not-ready': [refused(503, 'NOT_READY', 'Not yet.'), /503 NOT_READY: Not yet\./],
  'registry-name-refused': [refused(421, 'MISDIRECTED', 'No name of ours.'), /421/],
  'token-missing': [refused(401, 'UNAUTHORIZED', 'None was sent.'), /401/],
  'token-wrong': [{ ...refused(401, 'UNAUTHORIZED', 'None of this registry.'), hasToken: true }, /401/],
  'token-lapsed': [{ ...refused(401, 'UNAUTHORIZED', 'Token 1 has expired.'), hasToken: true }, /has expired/],
  'access-forbidden': [refused(403, 'FORBIDDEN', 'It names nobody.'), /403/],
  'registry-refuses': [refused(429, 'TOO_MANY', 'Wait.'), /429/],
  'few-open-files-here': [
    { local: { container: null, openFiles: 64, untried: 3 } },
    /3 requests and 0 ports could not be tried/,
  ],
  'registry-unsteady': [
    withFailures(failure('ETIMEDOUT', 'no connection within 3000 ms'), failure('ECONNRESET', 'socket hang up')),
    /8 of 10 tries were answered/,
  ],
  'large-answers-lost': [withFailures(brokenOff(1_448, 120_000)), /1448 of 120000 bytes/],
  'stream-cut': [
    instances(instanceFacts({}, { lineLosses: { times: 4, shortestMs: 14_900, longestMs: 15_100 } })),
    /the stream of orders…0001, which lives, ended 4 times recently/,
  ],
  'registries-differ': [
    { ...registry({ instances: 0 }), peers: [{ url: 'http://other:1337', ...PRESENT }] },
    /http:\/\/other:1337: a registry of epoch epoch-2 with 5 instances/,
  ],
  'nobody-callable': [
    {
      ...instances(
        instanceFacts(
          { admin: 'DRAINING' },
          { away: { reason: 'new disk', since: NOW - 300_000, untilMs: null, by: 'token 3f2a from 10.0.0.7' } },
        ),
      ),
      counts: new Map([['default/orders', countCallable([{ state: 'HEALTHY', admin: 'DRAINING' }])]]),
    },
    /orders-0001 is DRAINING: drained 5 min ago by token 3f2a from 10\.0\.0\.7 \(new disk\); its state is HEALTHY/,
  ],
  'calls-failing': [
    {
      calls: {
        kind: 'read',
        edges: [
          {
            ...callEdge,
            from: 'gateway',
            to: 'orders',
            calls: 100,
            failures: 40,
            targets: [
              { instance: 'orders-0001', attempts: 100, failures: 40, circuits: { closed: 2, open: 0, halfOpen: 0 } },
            ],
          },
        ],
      },
    },
    /2 instances of gateway reported it, last 1 s ago/,
  ],
  'circuit-open': [
    {
      calls: {
        kind: 'read',
        edges: [
          {
            ...callEdge,
            targets: [
              { instance: 'orders-0001', attempts: 10, failures: 0, circuits: { closed: 1, open: 1, halfOpen: 0 } },
            ],
          },
        ],
      },
    },
    /circuits of gateway: 1 open, 1 closed/,
  ],
  'store-trouble': [
    registry({ store: { name: 'disk', durable: true, trouble: { text: 'ENOSPC', sinceMs: 9_000, owed: 2 } } }),
    /ENOSPC/,
  ],
  'self-preservation': [registry({ preservation: { text: '4 of 5 are silent', sinceMs: 3_000 } }), /4 of 5/],
  'certificate-expiring': [registry({ certificateExpiresAt: NOW + 86_400_000 }), /tls\.expiresAt/],
  'token-expiring': [
    registry({ endingTokens: [{ id: '0123456789', owner: 'service orders', expiresAt: NOW + 86_400_000 }] }),
    /0123456789 \(service orders\) ends in 23 h/,
  ],
  'host-budget': [
    registry({ budgets: [{ name: 'open files', have: 1_000, used: 800, remedy: 'Raise it.' }] }),
    /open files: 800 of 1000/,
  ],
  'few-open-files': [registry({ files: { open: 150, most: 160 } }), /150 of 160 files/],
  'insecure-registry': [registry({ insecure: true }), /insecure true/],
  'clock-skew': [{ wall: NOW + 90_000 }, /Date: /],
  'version-skew': [{ version: '0.2.0' }, /rollcall --version: 0\.2\.0/],
  'service-not-let-in': [refusedWith('UNAUTHORIZED'), /UNAUTHORIZED: why/],
  'address-not-allowed': [refusedWith('ADDRESS_NOT_ALLOWED'), /3 times, last 4 s ago/],
  'duplicate-id': [refusedWith('ID_HELD'), /ID_HELD/],
  'limit-reached': [refusedWith('TOO_MANY'), /TOO_MANY/],
  'registration-refused': [refusedWith('INVALID'), /INVALID/],
  'port-not-listening': [
    instances(
      instanceFacts(unhealthyBecause('INBOUND_REFUSED'), {
        heartbeats: beats({ error: REFUSED, misses: 2 }),
        portProbes: probeResult('refused', REFUSED),
      }),
    ),
    /tried from here, tcp:.*ECONNREFUSED/,
  ],
  'not-reachable-from-registry': [
    instances(instanceFacts(unhealthyBecause('INBOUND_REFUSED'), { heartbeats: beats({ error: REFUSED, misses: 2 }) })),
    /tried from here.*it says that it is orders-0001/,
  ],
  'heartbeat-1-unanswered': [
    instances(
      instanceFacts(unhealthyBecause('INBOUND_SILENT'), {
        heartbeats: beats({ error: 'no answer', misses: 2 }),
        portProbes: probeResult('silent', 'it says nothing'),
      }),
    ),
    /Heartbeat-1.*2 missed, the last: no answer/,
  ],
  'heartbeats-lost': [
    instances(instanceFacts({}, { rounds: [true, false, true, true, false, false, true, true] })),
    /of the last 8 rounds of Heartbeat-1 5 were answered/,
  ],
  'heartbeat-2-missing': [
    instances(
      instanceFacts(unhealthyBecause('OUTBOUND_SILENT'), {
        heartbeats: beats({}, { misses: 3, lastSuccessAgoMs: 20_000 }),
      }),
    ),
    /Heartbeat-2.*last came 20 s ago; 3 missed/,
  ],
  'address-taken': [
    instances(instanceFacts({}, { portProbes: probeResult('another', 'it says that it is users-1') })),
    /users-1/,
  ],
  'address-shared': [instances(instanceFacts(unhealthyBecause('ADDRESS_SHARED'))), /ADDRESS_SHARED/],
  'loopback-address': [
    instances(instanceFacts(), instanceFacts({ id: 'orders-0002', endpoints: endpointsAt('10.0.0.5') })),
    /orders…0002 is at 10\.0\.0\.5:4001/,
  ],
  'not-reachable-from-here': [
    instances(instanceFacts({}, { portProbes: probeResult('silent', 'no answer') })),
    /tried from here/,
  ],
  'shutdown-hooks-off': [
    instances(instanceFacts({ metadata: { 'rollcall.shutdown-hooks': 'off' } })),
    /the instance says/,
  ],
  'stale-copy': [instances(instanceFacts({}, { line: false })), /line false/],
  flapping: [instances(instanceFacts({}, { falls: 3.5 })), /falls 3\.5/],
};

describe('diagnose', () => {
  it('finds nothing if everything is well, and lists what it checked and what it could not check', () => {
    const { findings, fine, unchecked } = diagnose(facts());
    expect(findings).toEqual([]);
    expect(fine).toContain('both heartbeats of 1 of 1 instances');
    expect(fine).toContain('the ports of 1 of 1 instances, tried from here');
    expect(unchecked.every((line) => line.includes(', because '))).toBe(true);
  });

  it.each(FINDING_CODES)('finds %s, alone, with evidence, why, fix and its entry in the guide', (code) => {
    const [overrides, evidence] = CASES[code];
    const { findings } = diagnose(facts(overrides));
    expect(findings.map((finding) => finding.code)).toEqual([code]);
    const [finding] = findings as [Finding];
    expect(finding.evidence.join('\n')).toMatch(evidence);
    expect(finding.what).toMatch(/\.$/);
    expect(finding.why).toMatch(/\.$/);
    expect(finding.fix.length).toBeGreaterThan(0);
    expect(guide).toContain(`\n### ${finding.link.split('#')[1]}\n`);
  });

  it('lists the worst first', () => {
    const problems = Object.values(CASES)
      .slice(FINDING_CODES.indexOf('registry-refuses') + 1)
      .map(([overrides]) => overrides);
    const { findings } = diagnose(
      facts({
        ...Object.assign({}, ...problems),
        instances: problems.flatMap((overrides) => overrides.instances ?? []),
        registry: Object.assign(
          {},
          registryFacts,
          ...problems.map((overrides) => overrides.registry ?? {}),
        ) as RegistryFacts,
      }),
    );
    const ranks = findings.map(({ gravity }) => GRAVITIES.indexOf(gravity));
    expect(new Set(ranks).size).toBe(GRAVITIES.length);
    expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
  });

  it('treats a name that only begins like an address as that of another machine', () => {
    expect(fixAt('http://127.example.com:1337')).toContain('--host 0.0.0.0');
    expect(fixAt('http://127.0.0.2:1337')).not.toContain('--host');
  });

  it('ignores one missed heartbeat, an instance that leaves, an old registry, and another patch version', () => {
    const missed = instanceFacts({}, { heartbeats: beats({ error: 'no answer', misses: 1 }, { misses: 1 }) });
    const leaving = instanceFacts(
      { state: 'DEREGISTERING', reason: { code: 'LEAVING', text: 'goodbye' } },
      { falls: 9, line: false },
    );
    expect(diagnose(facts(instances(missed, leaving))).findings).toEqual([]);
    const old = { version: null, store: null, budgets: [], flappingLimit: null };
    const { findings, unchecked } = diagnose(facts(registry(old)));
    expect(findings).toEqual([]);
    expect(unchecked.join('\n')).toMatch(/versions, because.*\n[\s\S]*the store, because/);
    expect(diagnose(facts(registry({ version: '0.1.9' }))).findings).toEqual([]);
  });

  it('reports nothing that a registry cannot know just after its start, nor by a wrong clock', () => {
    const silent = instanceFacts(
      {},
      { heartbeats: beats({ lastSuccessAgoMs: null }, { lastSuccessAgoMs: null }), line: false },
    );
    const known = registry({ startedAt: NOW - 4_000 });
    expect(diagnose(facts({ ...known, ...instances(silent) })).findings).toEqual([]);
    const skewed = { ...known, ...instances(silent), wall: NOW + 3_600_000 };
    expect(diagnose(facts(skewed)).findings.map(({ code }) => code)).toEqual(['clock-skew']);
    const late = registry({ startedAt: NOW - 11_000 });
    expect(diagnose(facts({ ...late, ...instances(silent) })).findings.map(({ code }) => code)).toEqual([
      'heartbeat-2-missing',
    ]);
  });

  it('blames the size of an answer that breaks off only if larger ones do not arrive', () => {
    const small = brokenOff(9, 99);
    expect(codesIn(withFailures(small))).toEqual(['registry-unsteady']);
    expect(diagnose(facts(withFailures(small))).fine).not.toContain('each of 10 requests to it was answered');
    // the size is known from the part that arrived, if its head does not declare it
    expect(codesIn(withFailures(brokenOff(901, null)))).toEqual(['large-answers-lost']);
    expect(codesIn(withFailures(brokenOff(900, null)))).toEqual(['registry-unsteady']);
    expect(codesIn(withFailures(small, brokenOff(9, 901)))).toEqual(['large-answers-lost', 'registry-unsteady']);
    // the one that was asked for its size breaks off before a smaller one would
    const large = brokenOff(99, null);
    const provoked = { ...withFailures(small, large, large), connection: { large, stream: held } };
    expect(codesIn(provoked)).toEqual(['large-answers-lost']);
    expect(diagnose(facts(provoked)).findings[0]?.evidence[0]).toContain('99 of ? bytes');
    // an answer that never arrived proves nothing about sizes
    const lost = failure('ETIMEDOUT', 'no connection within 3000 ms');
    expect(codesIn({ ...withFailures(lost, small), connection: { large: lost, stream: held } })).toEqual([
      'registry-unsteady',
    ]);
  });

  it('names a service without a callable instance with its namespace, if there are several', () => {
    const drained = countCallable([{ state: 'HEALTHY', admin: 'DRAINING' }]);
    const away = instances(instanceFacts({ admin: 'DRAINING' }));
    const whatOf = (counts: Facts['counts'], hasNamespaces = false) =>
      diagnose(facts({ ...away, counts, hasNamespaces })).findings[0]?.what;
    expect(whatOf(new Map([['default/orders', drained]]))).toContain('No instance of orders may be called');
    const fine = countCallable([{ state: 'HEALTHY', admin: 'ENABLED' }]);
    const both = new Map([
      ['default/orders', drained],
      ['staging/orders', fine],
    ]);
    expect(whatOf(both, true)).toContain('No instance of default/orders may be called');
  });

  it('names the fix for a pod that may open too few files', () => {
    const { findings } = diagnose(facts({ local: { container: 'kubernetes', openFiles: 64, untried: 3 } }));
    expect(findings[0]?.fix.join()).toMatch(/LimitNOFILE.*container runtime.*rollcall doctor --no-ports --url/);
  });

  it('checks the id of the process only where callers do', () => {
    const strange = probeResult('another', 'a process answers that does not report an instance id');
    const foreign = instanceFacts({ source: 'consul' }, { portProbes: strange });
    const own = { ...endpoint, protocol: 'heartbeat' } as const;
    const quiet = instanceFacts(
      { endpoints: [own] },
      { portProbes: strange.map((seen) => ({ ...seen, endpoint: own })) },
    );
    expect(diagnose(facts(instances(foreign, quiet))).findings).toEqual([]);
  });

  it('lists instances that it could not check, or left out', () => {
    const open = instanceFacts({}, { portProbes: probeResult('open', 'it takes connections') });
    expect(diagnose(facts({ instances: [open], omitted: 40 })).unchecked.join('\n')).toMatch(
      /what answers at 1 addresses[\s\S]*40 instances/,
    );
    const silent = instanceFacts({}, { portProbes: [] });
    expect(diagnose(facts({ instances: [silent], shouldProbePorts: false })).unchecked.join('\n')).toContain(
      '--no-ports',
    );
  });
});

describe('docs/guide/troubleshooting.md', () => {
  it('contains an entry for each finding, in order, and no others', () => {
    expect([...guide.matchAll(/^### (\S+)$/gm)].map(([, code]) => code)).toEqual([...FINDING_CODES]);
  });

  it('contains a text in each entry', () => {
    const entries = [...guide.matchAll(/^### \S+\n([\s\S]*?)(?=^##|(?![\s\S]))/gm)].map(([, text = '']) => text.trim());
    expect(entries).toHaveLength(FINDING_CODES.length);
    expect(entries.filter((entry) => entry.length < 100)).toEqual([]);
  });
});
