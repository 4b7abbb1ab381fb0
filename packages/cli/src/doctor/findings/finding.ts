import { commandsIn, unmarked } from './command.js';

/**
 * The codes of all findings of `rollcall doctor`. docs/guide/troubleshooting.md has an entry for each, under its code.
 */
export const FINDING_CODES = [
  // no registry
  'registry-not-listening',
  'registry-name-unknown',
  'registry-silent',
  'registry-at-other-address',
  'registry-closes-connections',
  'registry-speaks-tls',
  'registry-speaks-no-tls',
  'registry-certificate',
  'not-a-registry',
  // it does not let us in, or cannot answer
  'registry-not-ready',
  'registry-name-refused',
  'token-missing',
  'token-wrong',
  'token-lapsed',
  'access-forbidden',
  'registry-refuses',
  // the way to the registry
  'few-open-files-here',
  'registry-unsteady',
  'large-answers-lost',
  'stream-cut',
  'registries-differ',
  // the registry itself, and its reports about whole services
  'nobody-callable',
  'calls-failing',
  'circuit-open',
  'store-trouble',
  'self-preservation',
  'certificate-expiring',
  'token-expiring',
  'host-budget',
  'few-open-files',
  'insecure-registry',
  'clock-skew',
  'version-skew',
  // services that are not registered
  'service-not-let-in',
  'address-not-allowed',
  'duplicate-id',
  'limit-reached',
  'registration-refused',
  // instances
  'port-not-listening',
  'not-reachable-from-registry',
  'heartbeat-1-unanswered',
  'heartbeats-lost',
  'heartbeat-2-missing',
  'address-taken',
  'address-shared',
  'loopback-address',
  'not-reachable-from-here',
  'shutdown-hooks-off',
  'stale-copy',
  'flapping',
] as const;
export type FindingCode = (typeof FINDING_CODES)[number];

/** `broken`: calls fail, or will not arrive; `risk`: they will if something else happens; `note`: worth knowing. */
export const GRAVITIES = ['broken', 'risk', 'note'] as const;
export type Gravity = (typeof GRAVITIES)[number];

/** One problem. */
export interface Finding {
  readonly code: FindingCode;
  readonly gravity: Gravity;
  /** The problem, in one sentence with the names. */
  readonly what: string;
  /** The ids of the instances that it is about; empty: none in particular. */
  readonly instances: readonly string[];
  /**
   * The printed names of the same instances: `orders…1e07`, with the namespace if the registry has several.
   */
  readonly names: readonly string[];
  /** The services that it is about, each as `<namespace>/<service>`. */
  readonly services: readonly string[];
  /**
   * The lost share of these services, 0 to 1: instances that callers may not call, or calls that failed. Null: it is
   * about no service in particular.
   */
  readonly share: number | null;
  /** The evidence, verbatim, and its source. */
  readonly evidence: readonly string[];
  /** The effect on calls. */
  readonly why: string;
  /** Lines to change, or commands to run; one of them fixes it. */
  readonly fix: readonly string[];
  /** The commands in `fix`, in their order. */
  readonly commands: readonly string[];
  /** The entry in the documentation. */
  readonly link: string;
}

/** The results of one run. */
export interface Diagnosis {
  /** Worst first. */
  readonly findings: readonly Finding[];
  /** The checks that found no problem. */
  readonly fine: readonly string[];
  /** The checks that were impossible, with the reason. */
  readonly unchecked: readonly string[];
}

type FindingParts = Pick<Finding, 'what' | 'evidence' | 'fix'> &
  Partial<Pick<Finding, 'instances' | 'names' | 'services' | 'share'>>;

/** Commands in `fix` are marked (`command`). Names, services and share may be left out if `instances` implies them. */
export function finding(code: FindingCode, parts: FindingParts): Finding {
  const { what, evidence, fix, instances = [], names = [], services = [], share = null } = parts;
  const { gravity, why } = MEANINGS[code];
  return {
    code,
    gravity,
    what,
    instances,
    names,
    services,
    share,
    evidence,
    why,
    fix: fix.map(unmarked),
    commands: fix.flatMap(commandsIn),
    link: `docs/guide/troubleshooting.md#${code}`,
  };
}

/**
 * Worst first; within one gravity by the lost share of a service, findings about no particular service before all; then
 * in the order of the codes.
 */
export function worstFirst(findings: readonly Finding[]): readonly Finding[] {
  const rank = ({ gravity }: Finding): number => GRAVITIES.indexOf(gravity);
  const order = ({ code }: Finding): number => FINDING_CODES.indexOf(code);
  const lost = ({ share }: Finding): number => share ?? 1;
  return findings.toSorted((a, b) => rank(a) - rank(b) || lost(b) - lost(a) || order(a) - order(b));
}

const UNREACHED_EFFECT =
  'Services that start now find no instances and are not found; those that run continue with their copy.';
const REFUSED_EFFECT = 'The registry works; clients that it refuses like this can neither read nor register.';
const UNREGISTERED_EFFECT = 'A service that is not let in is on no list: callers do not know that it exists.';

/** The gravity and the effect of each finding. */
const MEANINGS: Readonly<Record<FindingCode, { readonly gravity: Gravity; readonly why: string }>> = {
  'registry-not-listening': { gravity: 'broken', why: UNREACHED_EFFECT },
  'registry-name-unknown': { gravity: 'broken', why: UNREACHED_EFFECT },
  'registry-silent': { gravity: 'broken', why: UNREACHED_EFFECT },
  'registry-at-other-address': {
    gravity: 'broken',
    why: 'Clients with this URL use an address where no process listens, although a registry is at the other address of the same machine.',
  },
  'registry-closes-connections': { gravity: 'broken', why: UNREACHED_EFFECT },
  'registry-speaks-tls': {
    gravity: 'broken',
    why: 'It does not understand plain HTTP, so no client with this URL reaches it.',
  },
  'registry-speaks-no-tls': {
    gravity: 'broken',
    why: 'The TLS handshake fails, so no client with this URL reaches it.',
  },
  'registry-certificate': {
    gravity: 'broken',
    why: 'Clients that do not trust the certificate do not connect to the registry.',
  },
  'not-a-registry': { gravity: 'broken', why: UNREACHED_EFFECT },
  'registry-not-ready': {
    gravity: 'broken',
    why: 'Until its store is read it answers nothing: an empty list would be a lie.',
  },
  'registry-name-refused': {
    gravity: 'broken',
    why: 'It answers only to its configured names, so that no foreign web page can reach it.',
  },
  'token-missing': { gravity: 'broken', why: REFUSED_EFFECT },
  'token-wrong': { gravity: 'broken', why: REFUSED_EFFECT },
  'token-lapsed': { gravity: 'broken', why: REFUSED_EFFECT },
  'access-forbidden': { gravity: 'broken', why: REFUSED_EFFECT },
  'registry-refuses': { gravity: 'broken', why: REFUSED_EFFECT },
  'few-open-files-here': {
    gravity: 'note',
    why: 'This command could not check everything: the registry and the instances may be well.',
  },
  'registry-unsteady': {
    gravity: 'risk',
    why: 'Heartbeats and registrations take the same way: some arrive late or not at all, and instances fall that are well.',
  },
  'large-answers-lost': {
    gravity: 'broken',
    why: 'Heartbeats are small and arrive; the lists of services are large and do not, so callers find no instances, or keep an old copy.',
  },
  'stream-cut': {
    gravity: 'risk',
    why: 'At each end of its stream a service requests its whole view again, and the registry probes the instance at once to check whether it died.',
  },
  'registries-differ': {
    gravity: 'broken',
    why: 'Registries do not share data: an instance that registers at one is not found by clients of the other.',
  },
  'nobody-callable': {
    gravity: 'broken',
    why: 'Every call of it fails with NO_INSTANCE, however HEALTHY its instances are.',
  },
  'calls-failing': {
    gravity: 'broken',
    why: 'These calls returned an error after all their retries, so requests of the caller fail, too.',
  },
  'circuit-open': {
    gravity: 'risk',
    why: 'These callers send the instance no calls until a trial call succeeds; the other instances carry its share.',
  },
  'store-trouble': {
    gravity: 'broken',
    why: 'New registrations are refused, and what it owes its store is lost if it ends now.',
  },
  'self-preservation': {
    gravity: 'risk',
    why: 'Instances that are silent stay callable: callers try them, fail, and try another.',
  },
  'certificate-expiring': {
    gravity: 'risk',
    why: 'From that moment no client connects, and every service turns stale at once.',
  },
  'token-expiring': {
    gravity: 'risk',
    why: 'From that moment nothing more is taken from its bearer, nor from the instances that registered with it.',
  },
  'host-budget': {
    gravity: 'risk',
    why: 'When it is used up, connections fail for all clients at once, heartbeats among them.',
  },
  'few-open-files': {
    gravity: 'risk',
    why: 'Each connection is an open file. When none is left, new connections are closed without an answer, and no instance can be called.',
  },
  'insecure-registry': {
    gravity: 'risk',
    why: 'Any client that reaches its port may register an instance of any service, and remove one.',
  },
  'clock-skew': {
    gravity: 'risk',
    why: 'Certificates and tokens begin and end by these clocks, and times shown to people are wrong. No heartbeat depends on them.',
  },
  'version-skew': { gravity: 'risk', why: 'One side may not know fields of the other yet: it ignores them silently.' },
  'service-not-let-in': { gravity: 'broken', why: UNREGISTERED_EFFECT },
  'address-not-allowed': { gravity: 'broken', why: UNREGISTERED_EFFECT },
  'duplicate-id': { gravity: 'broken', why: UNREGISTERED_EFFECT },
  'limit-reached': { gravity: 'broken', why: UNREGISTERED_EFFECT },
  'registration-refused': { gravity: 'broken', why: UNREGISTERED_EFFECT },
  'port-not-listening': { gravity: 'broken', why: 'Callers are refused there, too.' },
  'not-reachable-from-registry': {
    gravity: 'broken',
    why: 'An instance that the registry cannot reach is not listed as HEALTHY, so it gets few calls or none.',
  },
  'heartbeat-1-unanswered': {
    gravity: 'broken',
    why: 'A process that does not answer a heartbeat answers no call either, or the network drops both.',
  },
  'heartbeats-lost': {
    gravity: 'risk',
    why: 'The address is right. Calls take the same way, so some of them fail or are slow, too.',
  },
  'heartbeat-2-missing': {
    gravity: 'broken',
    why: 'An instance that cannot reach the registry gets no changes of others, and may not know that it is cut off.',
  },
  'address-taken': {
    gravity: 'broken',
    why: 'Calls for the one would reach the other; callers notice, refuse and try elsewhere.',
  },
  'address-shared': {
    gravity: 'broken',
    why: 'Which process gets a call is random, so both are avoided while other instances exist.',
  },
  'loopback-address': {
    gravity: 'risk',
    why: 'For a caller on another machine, or in another container, 127.0.0.1 is itself.',
  },
  'not-reachable-from-here': {
    gravity: 'note',
    why: 'Callers on this machine fail there; those where the registry is do not.',
  },
  'shutdown-hooks-off': {
    gravity: 'risk',
    why: 'Each deployment and each scale-down cuts the requests that are in flight.',
  },
  'stale-copy': {
    gravity: 'risk',
    why: 'It gets changes of others late or not at all, so it calls some that are gone and no new ones.',
  },
  flapping: {
    gravity: 'risk',
    why: 'Each fall costs its callers failed attempts; it has to prove itself longer before it is trusted again.',
  },
};
