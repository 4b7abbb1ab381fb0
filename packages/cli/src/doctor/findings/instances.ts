import { addressOf, isLoopback, TOLD, VERSION } from '@rollcall/core';
import type { Endpoint } from '@rollcall/core';
import { ageText } from '../../terminal/texts.js';
import type { Facts, InstanceFacts, PortProbe, RegistryFacts } from '../facts/facts.js';
import { command } from './command.js';
import { finding } from './finding.js';
import type { Diagnosis, Finding } from './finding.js';
import { remediesFor } from './fixes.js';
import { nameOf, serviceNameOf } from './names.js';
import { registryWall } from './registry.js';

/** At least this many lost heartbeats in a row are a finding. */
const MIN_MISSES = 2;
/** Intervals after which a lost or moved instance is not a recent change any more. */
const SETTLED_INTERVALS = 2;

/** The findings about the instances. */
export function diagnoseInstances(facts: Facts): Diagnosis {
  const { registry, instances } = facts;
  if (registry === null) return { findings: [], fine: [], unchecked: [] };
  if (instances.length === 0) {
    const isEmpty = facts.missing.length === 0;
    return { findings: [], fine: [], unchecked: isEmpty ? ['instances, because none is registered'] : [] };
  }
  const staying = instances.filter(({ instance }) => instance.state !== 'DEREGISTERING');
  const findings = [
    ...staying.flatMap((instanceFacts) => heartbeatFindings(instanceFacts, facts, registry)),
    ...unreachableFindings(staying, facts),
    ...loopbackFindings(staying, facts, registry),
    ...staying.flatMap((instanceFacts) => [
      ...shutdownHookFindings(instanceFacts, facts),
      ...staleFindings(instanceFacts, facts, registry),
      ...flappingFindings(instanceFacts, facts, registry),
    ]),
  ];
  return { findings, fine: fineLines(staying, findings), unchecked: uncheckedLines(staying, facts) };
}

// ---- heartbeats -----------------------------------------------------------------------------------------------------

/** One finding for each instance: both directions and the address belong together. */
function heartbeatFindings(instanceFacts: InstanceFacts, facts: Facts, registry: RegistryFacts): readonly Finding[] {
  const { instance, portProbes } = instanceFacts;
  const { code } = instance.reason;
  const another = portProbes.filter((common) => isAnother(instanceFacts, common));
  if (code === 'ADDRESS_SHARED') return [sharedFinding(instanceFacts, facts)];
  if (code === 'ADDRESS_TAKEN' || another.length > 0) return [takenFinding(instanceFacts, another, facts)];
  if (isLossy(instanceFacts)) return [lossyFinding(instanceFacts, facts)];
  if (isInboundBroken(instanceFacts)) return [inboundFinding(instanceFacts, facts)];
  if (isOutboundBroken(instanceFacts, facts, registry)) return [outboundFinding(instanceFacts, facts)];
  return [];
}

/**
 * True if another process answers and that matters: callers check the id of native instances alone, and no calls go
 * over `heartbeat`, so there it is enough that the registry gets its answers.
 */
function isAnother(instanceFacts: InstanceFacts, { outcome, endpoint }: PortProbe): boolean {
  if (outcome !== 'another' || instanceFacts.instance.source !== 'native') return false;
  return endpoint.protocol !== 'heartbeat' || isInboundBroken(instanceFacts);
}

/** True if there was enough time for a heartbeat since it registered, and since the registry was started. */
function isSettled({ instance }: InstanceFacts, facts: Facts, { intervalMs, startedAt }: RegistryFacts): boolean {
  return registryWall(facts) - Math.max(instance.registeredAt, startedAt ?? 0) > SETTLED_INTERVALS * intervalMs;
}

function isInboundBroken({ instance, heartbeats }: InstanceFacts): boolean {
  if (heartbeats === null) return /^INBOUND|^SILENT|PROOF_OF_DEATH/.test(instance.reason.code);
  const { error, misses } = heartbeats.heartbeat1;
  return error !== null && (misses >= MIN_MISSES || instance.state !== 'HEALTHY');
}

function isOutboundBroken(instanceFacts: InstanceFacts, facts: Facts, registry: RegistryFacts): boolean {
  const { instance, heartbeats } = instanceFacts;
  if (heartbeats === null) return /^OUTBOUND|^SILENT/.test(instance.reason.code);
  const { lastSuccessAgoMs, misses } = heartbeats.heartbeat2;
  return misses >= MIN_MISSES || (lastSuccessAgoMs === null && isSettled(instanceFacts, facts, registry));
}

/** The minimum number of returns within the last rounds: a dead process, or a closed path, does not return. */
const MIN_RETURNS = 2;
/** The number of last rounds that are evaluated. */
const ROUNDS = 20;

/** True if rounds of Heartbeat-1 alternate between answered and missed. */
function isLossy({ rounds }: InstanceFacts): boolean {
  const last = rounds.slice(-ROUNDS);
  const returns = last.filter((isAnswered, index) => isAnswered && last[index - 1] === false).length;
  return returns >= MIN_RETURNS;
}

function lossyFinding(instanceFacts: InstanceFacts, facts: Facts): Finding {
  const { instance, rounds } = instanceFacts;
  const last = rounds.slice(-ROUNDS);
  const answered = last.filter((isAnswered) => isAnswered).length;
  const [endpoint] = instance.endpoints;
  return finding('heartbeats-lost', {
    instances: [instance.id],
    what: `${nameOf(instance, facts)} answers some heartbeats and not others.`,
    evidence: [
      `the registry says: of the last ${last.length} rounds of Heartbeat-1 ${answered} were answered, in turns with those that were not`,
      ...evidenceOf(instanceFacts, facts),
    ],
    fix: [
      `are packets lost between the registry and it? From the machine of the registry: ${command(`ping -c 20 ${endpoint?.host ?? ''}`)}; fix the network that loses them`,
      `does it pause? ${remediesFor(facts.registry?.container ?? null).showLoad}; look at its memory, its garbage collector, and whether its CPU is throttled`,
    ],
  });
}

function inboundFinding(instanceFacts: InstanceFacts, facts: Facts): Finding {
  const { instance, heartbeats, portProbes } = instanceFacts;
  const error = heartbeats?.heartbeat1.error ?? instance.reason.text;
  const isRefused = /ECONNREFUSED/.test(error);
  const isReached =
    portProbes.length > 0 && portProbes.every(({ outcome }) => outcome === 'itself' || outcome === 'open');
  const place = placesOf(instance.endpoints);
  const wasReached = (heartbeats?.heartbeat1.lastSuccessAgoMs ?? null) !== null;
  const remedies = remediesFor(facts.registry?.container ?? null);
  const [endpoint] = instance.endpoints;
  const connectFix = remedies.tryPort(endpoint?.host ?? '', endpoint?.port ?? 0, 'from the machine of the registry');
  const common = { instances: [instance.id], evidence: evidenceOf(instanceFacts, facts) };
  const name = nameOf(instance, facts);
  if (isReached && (isRefused || portProbes.every(({ outcome }) => outcome === 'itself'))) {
    return finding('not-reachable-from-registry', {
      ...common,
      what: `${name} is reached at ${place} from here, and not from the registry.`,
      fix:
        !wasReached && isLoopback(endpoint?.host ?? '')
          ? [
              `in ${instance.service}: RollcallModule.forRoot({ …, advertiseHost: '<its address as the registry sees it>' })`,
              `and listen on every address: options: { host: '0.0.0.0', … }`,
            ]
          : [
              connectFix,
              'open the way for the registry: firewall, network policy, another network of containers',
              // an address that was reached before was right
              ...(wasReached ? [] : ['or set advertiseHost to an address that the registry reaches']),
            ],
    });
  }
  if (isRefused || portProbes.some(({ outcome }) => outcome === 'refused')) {
    return finding('port-not-listening', {
      ...common,
      what: `No process listens at ${place}, the address of ${name}.`,
      fix: [
        `if its process has ended, start it again; what it did last: ${command(`rollcall show ${instance.id}`)}`,
        `if it runs, look where it listens: ${remedies.showListener(endpoint?.port ?? '')}; the port that it registered is ${instance.endpoints.map(({ port }) => port).join(', ')}`,
      ],
    });
  }
  return finding('heartbeat-1-unanswered', {
    ...common,
    what: `${name} at ${place} does not answer Heartbeat-1.`,
    fix: [
      `is its process stopped or busy? On its machine: ${remedies.showLoad}`,
      `do packets get through? ${connectFix}`,
    ],
  });
}

function outboundFinding(instanceFacts: InstanceFacts, facts: Facts): Finding {
  const { instance, heartbeats } = instanceFacts;
  const hasArrived = (heartbeats?.heartbeat2.lastSuccessAgoMs ?? null) !== null;
  const { container } = facts.registry ?? { container: null };
  const fetchCommand = `node -e "fetch('${facts.url}/health/live').then(a=>console.log(a.status),e=>console.log(e.cause??e))"`;
  return finding('heartbeat-2-missing', {
    instances: [instance.id],
    what: `${nameOf(instance, facts)} answers Heartbeat-1 but ${hasArrived ? 'no longer sends' : 'sends no'} Heartbeat-2.`,
    evidence: evidenceOf(instanceFacts, facts),
    fix: [
      `from its machine or container: ${command(container === null ? `curl -sS ${facts.url}/health/live` : fetchCommand)}`,
      hasArrived
        ? 'its own log names the registry that it uses, and the answers; did something change between them: a network policy, a firewall, its token?'
        : 'its own log names the registry that it looks for; set ROLLCALL_URL to one that it reaches',
    ],
  });
}

function takenFinding(instanceFacts: InstanceFacts, another: readonly PortProbe[], facts: Facts): Finding {
  const { instance } = instanceFacts;
  const places = placesOf(another.length > 0 ? another.map(({ endpoint }) => endpoint) : instance.endpoints);
  return finding('address-taken', {
    instances: [instance.id],
    what: `Another process answers at ${places}, the address of ${nameOf(instance, facts)}.`,
    evidence: evidenceOf(instanceFacts, facts),
    fix: [
      'give each process a port of its own: port 0 is any free one',
      `see which process has it: ${remediesFor(facts.registry?.container ?? null).showListener(instance.endpoints[0]?.port ?? '')}`,
    ],
  });
}

function sharedFinding(instanceFacts: InstanceFacts, facts: Facts): Finding {
  const { instance } = instanceFacts;
  return finding('address-shared', {
    instances: [instance.id],
    what: `${nameOf(instance, facts)} and another process answer in turns at ${placesOf(instance.endpoints)}.`,
    evidence: evidenceOf(instanceFacts, facts),
    fix: [
      `workers of node:cluster, or of PM2 in its cluster mode, share every port that they listen on, port 0 too: start them with @rollcall/nestjs ${VERSION}, which gives each worker a port of its own`,
      'without @rollcall/nestjs: register a second server of each worker, listen({ port: 0, exclusive: true }), or start processes in place of workers (PM2: exec_mode "fork"), each with a port of its own',
      'containers or machines behind one NAT, proxy or published port: let the registry and callers reach each directly, and set its advertiseHost to the address where they do',
    ],
  });
}

/** The report of the registry, both directions, and the probe from here. */
function evidenceOf({ instance, heartbeats, portProbes }: InstanceFacts, facts: Facts): readonly string[] {
  const lines = [
    `the registry says: ${instance.state} for ${ageText(registryWall(facts) - instance.since)}: ${instance.reason.text}`,
  ];
  if (heartbeats !== null) {
    const { heartbeat1, heartbeat2 } = heartbeats;
    const { error, misses } = heartbeat1;
    lines.push(
      `Heartbeat-1 (registry → instance): ${lastText(heartbeat1.lastSuccessAgoMs, 'answered')}${error === null ? '' : `; ${misses} missed, the last: ${error}`}`,
    );
    lines.push(
      `Heartbeat-2 (instance → registry): ${lastText(heartbeat2.lastSuccessAgoMs, 'came')}${heartbeat2.misses === 0 ? '' : `; ${heartbeat2.misses} missed`}`,
    );
  }
  return [...lines, ...portProbes.map(seenText)];
}

const lastText = (agoMs: number | null, verb: string): string =>
  agoMs === null ? `never ${verb}` : `last ${verb} ${ageText(agoMs)} ago`;

const seenText = ({ endpoint, text }: PortProbe): string =>
  `tried from here, ${endpoint.protocol}://${addressOf(endpoint)}: ${text}`;

// ---- addresses ------------------------------------------------------------------------------------------------------

/** Findings about instances that the registry reaches and this machine does not. */
function unreachableFindings(instances: readonly InstanceFacts[], { url }: Facts): readonly Finding[] {
  const lost = instances.filter(
    (instanceFacts) =>
      !isInboundBroken(instanceFacts) &&
      instanceFacts.portProbes.some(({ outcome }) => ['refused', 'silent', 'failed'].includes(outcome)),
  );
  if (lost.length === 0) return [];
  const failed = lost.flatMap(({ portProbes }) =>
    portProbes.filter(({ outcome }) => outcome !== 'itself' && outcome !== 'open' && outcome !== 'another'),
  );
  const common = finding('not-reachable-from-here', {
    what: `${lost.length} of ${instances.length} instances are reached by the registry, and not from this machine.`,
    instances: lost.map(({ instance }) => instance.id),
    evidence: [
      ...lost.slice(0, 1).map(({ instance }) => `the registry says: ${instance.state}: ${instance.reason.text}`),
      ...failed.slice(0, 5).map(seenText),
    ],
    fix: [
      `run it where callers run, such as in a container of theirs: ${command(`rollcall doctor --url ${url}`)}`,
      `or leave out the ports: ${command('rollcall doctor --no-ports')}`,
    ],
  });
  return [common];
}

/** Loopback addresses at a registry that other machines use. */
function loopbackFindings(
  instances: readonly InstanceFacts[],
  facts: Facts,
  { host }: RegistryFacts,
): readonly Finding[] {
  const local = instances.filter(({ instance }) => instance.endpoints.some((endpoint) => isLoopback(endpoint.host)));
  const remote = instances.find(({ instance }) => instance.endpoints.every((endpoint) => !isLoopback(endpoint.host)));
  const isAskedFromElsewhere = !isLoopback(new URL(facts.url).hostname);
  const listensWide = host !== null && !isLoopback(host);
  if (local.length === 0 || (!isAskedFromElsewhere && !listensWide && remote === undefined)) return [];
  const services = [...new Set(local.map(({ instance }) => serviceNameOf(instance, facts)))];
  const evidence = local
    .slice(0, 5)
    .map(({ instance }) => `the registry says: ${nameOf(instance, facts)} is at ${placesOf(instance.endpoints)}`);
  if (listensWide) evidence.push(`the registry listens at ${host}, for other machines too`);
  if (remote !== undefined)
    evidence.push(`${nameOf(remote.instance, facts)} is at ${placesOf(remote.instance.endpoints)}`);
  return [
    finding('loopback-address', {
      what: `${services.join(', ')} can be called only on the machine, or in the container, of the registry.`,
      instances: local.map(({ instance }) => instance.id),
      evidence,
      fix: [
        "listen on every address: options: { host: '0.0.0.0', port: 0 }, or app.listen(3000, '0.0.0.0')",
        `reach the registry by its name or address, not by 127.0.0.1: ${command('ROLLCALL_URL=http://<registry>:1337')}`,
        `or set the address: ${command('ROLLCALL_ADVERTISE_HOST=<address>')}`,
      ],
    }),
  ];
}

// ---- what may go wrong later ----------------------------------------------------------------------------------------

function shutdownHookFindings({ instance }: InstanceFacts, facts: Facts): readonly Finding[] {
  if (instance.metadata[TOLD.shutdownHooks] !== 'off') return [];
  const off = finding('shutdown-hooks-off', {
    what: `${nameOf(instance, facts)} does not handle SIGTERM, so that ends it in the middle of its requests.`,
    instances: [instance.id],
    evidence: [`the instance says: ${TOLD.shutdownHooks} off`],
    fix: [`in main.ts of ${instance.service}, before it listens: app.enableShutdownHooks();`],
  });
  return [off];
}

/** Only instances with Rollcall's client hold a line. */
function staleFindings(instanceFacts: InstanceFacts, facts: Facts, registry: RegistryFacts): readonly Finding[] {
  const { instance, line, heartbeats } = instanceFacts;
  const hasRollcallClient = instance.metadata[TOLD.version] !== undefined;
  const hasBeats =
    heartbeats !== null && heartbeats.heartbeat2.lastSuccessAgoMs !== null && heartbeats.heartbeat2.misses === 0;
  if (!hasRollcallClient || line !== false || !hasBeats || !isSettled(instanceFacts, facts, registry)) return [];
  const lastMs = heartbeats.heartbeat2.lastSuccessAgoMs ?? 0;
  return [
    finding('stale-copy', {
      what: `${nameOf(instance, facts)} beats but holds no change feed.`,
      instances: [instance.id],
      evidence: [`the registry says: line false, Heartbeat-2 last came ${ageText(lastMs)} ago`],
      fix: [
        `is there a proxy between it and ${facts.url} that buffers or cuts long answers? For /api/v1/watch in nginx: proxy_buffering off; proxy_read_timeout 1h;`,
        'its own log shows since when it polls, or has no feed',
      ],
    }),
  ];
}

function flappingFindings(
  { instance, falls }: InstanceFacts,
  facts: Facts,
  { flappingLimit }: RegistryFacts,
): readonly Finding[] {
  if (falls === null || flappingLimit === null || falls <= flappingLimit) return [];
  return [
    finding('flapping', {
      what: `${nameOf(instance, facts)} falls again and again.`,
      instances: [instance.id],
      evidence: [
        `the registry says: falls ${falls.toFixed(1)}, and with more than ${flappingLimit} an instance is flapping; now ${instance.state}: ${instance.reason.text}`,
      ],
      fix: [
        `what it did, and why: ${command(`rollcall show ${instance.id}`)}`,
        'look for what returns: memory at its limit, pauses of the garbage collector, a probe that restarts it, a network that drops',
      ],
    }),
  ];
}

// ---- what is well ---------------------------------------------------------------------------------------------------

function fineLines(instances: readonly InstanceFacts[], findings: readonly Finding[]): readonly string[] {
  const hasFinding = (code: Finding['code']): boolean => findings.some((found) => found.code === code);
  const healthy = instances.filter(({ instance }) => instance.state === 'HEALTHY').length;
  const reached = instances.filter(
    ({ portProbes }) =>
      portProbes.length > 0 && portProbes.every(({ outcome }) => outcome === 'itself' || outcome === 'open'),
  ).length;
  return [
    ...(healthy === 0 ? [] : [`both heartbeats of ${healthy} of ${instances.length} instances`]),
    ...(reached === 0 ? [] : [`the ports of ${reached} of ${instances.length} instances, tried from here`]),
    ...(hasFinding('loopback-address') ? [] : ['no address that only one machine can use']),
    ...(hasFinding('stale-copy') || !instances.some(({ line }) => line === true) ? [] : ['change feeds are held']),
    ...(hasFinding('flapping') ? [] : ['no instance is flapping']),
  ];
}

function uncheckedLines(instances: readonly InstanceFacts[], { shouldProbePorts, omitted }: Facts): readonly string[] {
  const open = instances.flatMap(({ portProbes }) => portProbes).filter(({ outcome }) => outcome === 'open').length;
  return [
    ...(shouldProbePorts ? [] : ['ports from here, because of --no-ports; the reports of the registry are above']),
    ...(open === 0
      ? []
      : [`what answers at ${open} addresses, because over gRPC and TLS only the connection was tried`]),
    ...(omitted === 0
      ? []
      : [`${omitted} instances, because only the ${instances.length} worst were looked at: name a service`]),
    'how old a copy is, because only its own process knows: its health check reports it (terminus), or rollcall_registry_connected of its metrics',
    'the clocks of services, because they do not send them, and nothing depends on them',
  ];
}

const placesOf = (endpoints: readonly Endpoint[]): string => [...new Set(endpoints.map(addressOf))].join(', ');
