import type { LineLosses } from '@rollcall/core';
import { ageText } from '../../terminal/texts.js';
import { urlAt } from '../facts/contact.js';
import type { Facts, ProbeFailure, InstanceFacts, PeerFacts, RegistryFacts } from '../facts/facts.js';
import { bareHost, isConnectionLost } from '../facts/http-probe.js';
import { largeFix, attemptTexts } from './contact.js';
import { command } from './command.js';
import { finding } from './finding.js';
import type { Diagnosis, Finding } from './finding.js';
import { remediesFor } from './fixes.js';
import { nameOf } from './names.js';
import { isTight } from './registry.js';

/** At least this many ends of a stream, of nearly the same length, indicate a rule of a proxy. */
const MIN_LOSSES = 3;
/** Relative to the longest; and at least this many ms. */
const SIMILAR_RATIO = 0.2;
const SIMILAR_MS = 500;

type Part = Partial<Diagnosis>;

/** The findings about the connection to a registry that answers, and about which registry that is. */
export function diagnoseConnection(facts: Facts): Diagnosis {
  const { registry } = facts;
  if (registry === null) return { findings: [], fine: [], unchecked: [] };
  const results = [localFiles, requestLosses, largeAnswers, streams, identity].map((part) => part(facts, registry));
  return {
    findings: results.flatMap(({ findings = [] }) => findings),
    fine: results.flatMap(({ fine = [] }) => fine),
    unchecked: [...results.flatMap(({ unchecked = [] }) => unchecked), ...facts.missing],
  };
}

function localFiles({ local, instances }: Facts): Part {
  const ports = instances.flatMap(({ portProbes }) => portProbes).filter(({ outcome }) => outcome === 'untried').length;
  if (local.untried + ports === 0) return {};
  const limit = local.openFiles === null ? 'few' : String(local.openFiles);
  const tooFewFiles = finding('few-open-files-here', {
    what: `This command may open only ${limit} files, too few for all that it wanted to ask.`,
    evidence: [`asked from here: ${local.untried} requests and ${ports} ports could not be tried (EMFILE)`],
    fix: [remediesFor(local.container).moreLocalFiles],
  });
  return { findings: [tooFewFiles] };
}

function requestLosses(facts: Facts, registry: RegistryFacts): Part {
  const { url, attempts, local } = facts;
  const fromLarge = new Set(largeLosses(facts));
  const otherLosses = attempts.failures.filter((failure) => !fromLarge.has(failure));
  if (otherLosses.length === 0) return { fine: [`each of ${attempts.count} requests to it was answered`] };
  const named = facts.addresses.filter(({ isNamed }) => isNamed);
  const addresses = named.map(({ address, text }) => `asked from here, at ${address} alone: ${text}`);
  const { files } = registry;
  const open = files === null ? [] : [`the registry says: ${files.open} of ${files.most} files are open`];
  const unsteady = finding('registry-unsteady', {
    what: `${new URL(url).host} answers some requests and loses others.`,
    evidence: [...attemptTexts(facts), ...addresses, ...open],
    fix: [
      ...(files !== null && isTight(files)
        ? [`the registry has hardly an open file left: ${remediesFor(registry.container).moreFiles}`]
        : []),
      ...(otherLosses.some(({ code }) => code === 'ETIMEDOUT')
        ? [`are packets lost on the way? ${command(`ping -c 20 ${bareHost(url)}`)}; fix the network that loses them`]
        : []),
      ...(otherLosses.some((failure) => isConnectionLost(failure) || failure.code === 'ECONNREFUSED')
        ? ['is there a proxy or load balancer between, of whose targets one is gone? Ask the registry itself, past it']
        : []),
      `is its machine busy? There: ${remediesFor(registry.container ?? local.container).showLoad}`,
    ],
  });
  return { findings: [unsteady] };
}

/**
 * The answers that broke off because of their size: if the one that was requested for its size broke off, that one
 * first and all others that did; else those larger than any that arrived completely. A smaller one that breaks off
 * indicates an unsteady network.
 */
function largeLosses({ connection, attempts }: Facts): readonly ProbeFailure[] {
  const halves = attempts.failures.filter(({ progress }) => progress.isAnswered);
  if (connection?.large?.progress.isAnswered === true) return [connection.large, ...halves];
  return halves.filter(
    ({ progress: { received, announced } }) => Math.max(received, announced ?? 0) > attempts.largestAnswer,
  );
}

function largeAnswers(facts: Facts): Part {
  const { connection, attempts, url } = facts;
  const [lost] = largeLosses(facts);
  if (lost === undefined) {
    return connection?.large === null ? { fine: ['answers of more than 64 KiB arrive as a whole'] } : {};
  }
  const large = finding('large-answers-lost', {
    what: `Large answers of ${new URL(url).host} do not arrive as a whole.`,
    evidence: [
      `asked from here: ${lost.text}`,
      `asked from here: an answer of ${attempts.largestAnswer} bytes, and smaller ones, arrived as a whole`,
    ],
    fix: largeFix(url),
  });
  return { findings: [large] };
}

function isRegular({ times, shortestMs, longestMs }: LineLosses): boolean {
  return times >= MIN_LOSSES && longestMs - shortestMs <= Math.max(SIMILAR_MS, SIMILAR_RATIO * longestMs);
}

function streams(facts: Facts): Part {
  const { connection, instances, url } = facts;
  const stream = connection?.stream;
  const cutStreams = instances.filter(({ lineLosses }) => lineLosses !== null && isRegular(lineLosses));
  const evidence = cutStreams.slice(0, 5).map((instanceFacts) => lossText(instanceFacts, facts));
  if (stream?.outcome === 'ended')
    evidence.unshift(`held from here: a change feed ended after ${stream.afterMs} ms: ${stream.text}`);
  if (stream?.outcome === 'silent')
    evidence.unshift(`held from here: a change feed was opened, and nothing of it came: ${stream.text}`);
  if (evidence.length === 0) {
    const unchecked =
      stream?.outcome === 'refused' ? [`change feeds from here, because one could not be opened: ${stream.text}`] : [];
    const fine = stream?.outcome === 'held' ? ['a change feed comes through, and lasts for a few seconds'] : [];
    return { unchecked, fine };
  }
  const found: Finding = finding('stream-cut', {
    what: `Streams of ${new URL(url).host} are ended or held back on the way, not by the registry.`,
    instances: cutStreams.map(({ instance }) => instance.id),
    evidence,
    fix: [
      'let the proxy or load balancer between pass on answers that do not end: nginx proxy_buffering off; proxy_read_timeout 1h; Envoy timeout: 0s; a load balancer of a cloud: its backend timeout',
      `or reach the registry past it: ${command('ROLLCALL_URL=http://<address of the registry>:1337')}`,
    ],
  });
  return { findings: [found] };
}

function lossText({ instance, lineLosses }: InstanceFacts, facts: Facts): string {
  const { times = 0, shortestMs = 0, longestMs = 0 } = lineLosses ?? {};
  const span =
    ageText(shortestMs) === ageText(longestMs) ? ageText(longestMs) : `${ageText(shortestMs)} to ${ageText(longestMs)}`;
  return `the registry says: the stream of ${nameOf(instance, facts)}, which lives, ended ${times} times recently, each time after ${span}`;
}

/**
 * Checks that all requests reach the same registry: at every address of its name, and that it is the first in the list.
 */
function identity(facts: Facts, registry: RegistryFacts): Part {
  const { url, addresses, peers } = facts;
  const named = addresses.filter(({ isNamed, epoch }) => isNamed && epoch !== null);
  if (new Set(named.map(({ epoch }) => epoch)).size > 1) return { findings: [splitName(url, named)] };
  const rivals = [
    ...addresses.filter(({ isNamed }) => !isNamed).map((rival) => ({ ...rival, url: urlAt(url, rival.address) })),
    ...peers,
  ].filter(({ epoch, instances }) => epoch !== null && epoch !== registry.epoch && instances > 0);
  if (rivals.length > 0) return { findings: [otherRegistry(url, registry, rivals)] };
  const silent = peers.filter(({ isRegistry }) => !isRegistry);
  return { unchecked: silent.map((peer) => `${peer.url}, because it did not answer as a registry: ${peer.text}`) };
}

function splitName(url: string, named: Facts['addresses']): Finding {
  return finding('registries-differ', {
    what: `The name ${new URL(url).hostname} leads to ${named.length} addresses, and not to the same registry at each.`,
    evidence: named.map(({ address, text }) => `asked from here, at ${address} alone: ${text}`),
    fix: [
      'let the name lead to one registry, or write the address of one into ROLLCALL_URL everywhere, and end the other',
    ],
  });
}

function otherRegistry(url: string, { epoch, instances }: RegistryFacts, rivals: readonly PeerFacts[]): Finding {
  const where = rivals.map((rival) => rival.url).join(', ');
  return finding('registries-differ', {
    what:
      instances === 0
        ? `The registry at ${url} is empty; instances are registered at ${where}.`
        : `Instances are registered at ${url}, and others at ${where}: different registries.`,
    evidence: [
      `asked from here, ${url}: a registry of epoch ${epoch ?? '?'} with ${instances ?? '?'} instances`,
      ...rivals.map((rival) => `asked from here, ${rival.url}: ${rival.text}`),
    ],
    fix: [
      `ask the other one: ${command(`rollcall doctor --url ${rivals[0]?.url ?? ''}`)}`,
      'give every service and caller the same ROLLCALL_URL: the same registries in the same order',
      'if one of them was started by mistake, end it',
    ],
  });
}
