import { TOLD } from '@rollcall/core';
import type { RefusedAnswer } from '@rollcall/core';
import { ageText } from '../../terminal/texts.js';
import type { ProbeAnswer, Facts, InstanceFacts, RegistryFacts } from '../facts/facts.js';
import { command } from './command.js';
import { finding } from './finding.js';
import type { Diagnosis, Finding, FindingCode } from './finding.js';
import { remediesFor } from './fixes.js';
import { serviceNameOf } from './names.js';

/** Smaller differences come from the network and the whole seconds of `Date`. */
const SKEW_MS = 5_000;

/** The lead of the registry's clock, ms; null: it does not report the time. Its header is cut to the second. */
export function clockLeadMs({ contact, wall }: Pick<Facts, 'contact' | 'wall'>): number | null {
  return contact.kind === 'answer' && contact.date !== null ? contact.date + 500 - wall : null;
}

/** The estimated wall clock of the registry, to which its times refer. */
export function registryWall(facts: Pick<Facts, 'contact' | 'wall'>): number {
  const leadMs = clockLeadMs(facts) ?? 0;
  return Math.abs(leadMs) < SKEW_MS ? facts.wall : facts.wall + leadMs;
}

/** The warning period: enough time to get another certificate. */
const EXPIRES_SOON_MS = 14 * 86_400_000;
/** The warning threshold, as a share of the maximum. */
const TIGHT_RATIO = 0.8;

/** True if hardly any of it is left. */
export const isTight = ({ open, most }: { readonly open: number; readonly most: number }): boolean =>
  open >= TIGHT_RATIO * most;

interface RegistryContext {
  readonly facts: Facts;
  readonly registry: RegistryFacts;
  readonly contact: ProbeAnswer;
}

/** The findings about the registry itself, and about services that it refused. */
export function diagnoseRegistry(facts: Facts): Diagnosis {
  const { registry, contact } = facts;
  if (registry === null || contact.kind !== 'answer') return { findings: [], fine: [], unchecked: [] };
  const known = { facts, registry, contact };
  const parts = [answers, clocks, versions, store, certificate, tokens, access, preservation, files, budgets, refusals];
  const results = parts.map((part) => part(known));
  return {
    findings: results.flatMap(({ findings = [] }) => findings),
    fine: results.flatMap(({ fine = [] }) => fine),
    unchecked: results.flatMap(({ unchecked = [] }) => unchecked),
  };
}

type Part = Partial<Diagnosis>;

function answers({ facts, registry, contact }: RegistryContext): Part {
  const version = registry.version === null ? '' : `, version ${registry.version}`;
  return {
    fine: [`the registry at ${facts.url} answers, in ${Math.max(1, Math.round(contact.roundTripMs))} ms${version}`],
  };
}

function clocks({ facts, contact, registry }: RegistryContext): Part {
  const leadMs = clockLeadMs(facts);
  if (leadMs === null || contact.date === null)
    return { unchecked: ['clocks, because the registry’s answer has no Date'] };
  const difference = ageText(Math.abs(leadMs));
  if (Math.abs(leadMs) < SKEW_MS) return { fine: ['the clocks of the registry and of this machine agree'] };
  const skew = finding('clock-skew', {
    what: `The registry’s clock is ${difference} ${leadMs > 0 ? 'ahead of' : 'behind'} that of this machine.`,
    evidence: [
      `the registry says: Date: ${new Date(contact.date).toUTCString()}`,
      `this machine says: ${new Date(facts.wall).toUTCString()}`,
    ],
    fix: [`set the clock that is wrong; the registry’s: ${remediesFor(registry.container).setClock}`],
  });
  return { findings: [skew] };
}

/** The part of a version that decides compatibility; below 1.0 it includes the second number, as in npm. */
const releaseLine = (version: string): string =>
  version
    .split('.')
    .slice(0, version.startsWith('0.') ? 2 : 1)
    .join('.');

function versions({ facts, registry }: RegistryContext): Part {
  const { version } = registry;
  if (version === null) return { unchecked: ['versions, because this registry is too old to report its own'] };
  const reported = facts.instances.flatMap(({ instance }) => instance.metadata[TOLD.version] ?? []);
  const silent = facts.instances.length - reported.length;
  const unchecked =
    silent === 0
      ? []
      : [
          `the versions of ${silent} instances, because they do not report which Rollcall they run (no Nest, or older than 0.1)`,
        ];
  const findings: Finding[] = [];
  if (releaseLine(facts.version) !== releaseLine(version)) {
    findings.push(
      finding('version-skew', {
        what: `This command is of version ${facts.version}, the registry of ${version}.`,
        evidence: [`rollcall --version: ${facts.version}`, `the registry says: version ${version}`],
        fix: [
          command(`npx rollcall@${releaseLine(version)} doctor`),
          'or start the registry from the version that the services use',
        ],
      }),
    );
  }
  const outdated = facts.instances.filter(({ instance }) => isOtherLine(instance.metadata[TOLD.version], version));
  if (outdated.length > 0) findings.push(otherVersions(outdated, version, facts));
  if (findings.length > 0) return { findings, unchecked };
  return {
    fine: [
      `versions fit: registry ${version}, this command ${facts.version}${reported.length === 0 ? '' : `, ${reported.length} instances`}`,
    ],
    unchecked,
  };
}

const isOtherLine = (reported: string | undefined, version: string): boolean =>
  reported !== undefined && releaseLine(reported) !== releaseLine(version);

function otherVersions(outdated: readonly InstanceFacts[], version: string, facts: Facts): Finding {
  const services = [...new Set(outdated.map(({ instance }) => serviceNameOf(instance, facts)))];
  return finding('version-skew', {
    what: `${services.join(', ')} run another Rollcall than the registry (${version}).`,
    instances: outdated.map(({ instance }) => instance.id),
    evidence: outdated
      .slice(0, 5)
      .map(({ instance }) => `${instance.id} says: ${TOLD.version} ${instance.metadata[TOLD.version] ?? ''}`),
    fix: [`in ${services.join(', ')}: ${command(`npm install @rollcall/nestjs@${releaseLine(version)}`)}`],
  });
}

function store({ registry }: RegistryContext): Part {
  if (registry.store === null) return { unchecked: ['the store, because the registry did not report one'] };
  const { name, durable, trouble } = registry.store;
  if (trouble === null)
    return {
      fine: [
        durable
          ? `the store (${name}) stores all changes`
          : 'nothing is kept on disk, as it was started: after a restart the services register again',
      ],
    };
  const { text, sinceMs, owed } = trouble;
  const broken = finding('store-trouble', {
    what: `The registry’s store has not stored all changes for ${ageText(sinceMs)}.`,
    evidence: [
      `the registry says: ${text}`,
      ...(owed === 0 ? [] : [`it owes the store the last words about ${owed} instances`]),
    ],
    fix: [
      `on its machine, look at the folder of --data, and at its disk: ${command('ls -ld . && df -h . && df -i .')}`,
      'it tries again by itself, and needs no restart',
    ],
  });
  return { findings: [broken] };
}

function certificate({ facts, registry }: RegistryContext): Part {
  const until = registry.certificateExpiresAt;
  if (until === null) return {};
  const leftMs = until - facts.wall;
  const day = new Date(until).toISOString();
  if (leftMs > EXPIRES_SOON_MS) return { fine: [`its certificate is valid until ${day}`] };
  const expiring = finding('certificate-expiring', {
    what:
      leftMs > 0
        ? `The registry’s certificate expires in ${ageText(leftMs)}.`
        : 'The registry’s certificate has expired.',
    evidence: [`the registry says: tls.expiresAt ${day}`],
    fix: [
      'put a new certificate and key in the place of the old files; it reads them within a second, without a restart',
    ],
  });
  return { findings: [expiring] };
}

function tokens({ facts, registry: { endingTokens: ending, container } }: RegistryContext): Part {
  const [first] = ending;
  if (first === undefined) return {};
  const leftText = (expiresAt: number): string => ageText(expiresAt - registryWall(facts));
  const expiring = finding('token-expiring', {
    what: `${ending.length === 1 ? 'An access token ends' : `${ending.length} access tokens end`} soon, the first in ${leftText(first.expiresAt)}.`,
    evidence: ending.map(({ id, owner, expiresAt }) => `token ${id} (${owner}) ends in ${leftText(expiresAt)}`),
    fix: [
      `make new ones where the registry’s folder is, and give them out before: ${remediesFor(container).createToken('…')}`,
      'then restart their services one after the other; the registry needs no restart',
    ],
  });
  return { findings: [expiring] };
}

function access({ registry }: RegistryContext): Part {
  if (!registry.insecure)
    return {
      fine: [registry.access === 'open' ? 'it is open, to its own machine only' : `it asks for ${registry.access}`],
    };
  const open = finding('insecure-registry', {
    what: 'The registry is open to every client that reaches it.',
    evidence: [
      `the registry says: insecure true, access ${registry.access}${registry.host === null ? '' : `, host ${registry.host}`}`,
    ],
    fix: [
      `make a token: ${remediesFor(registry.container).createToken("service --service '*'")}`,
      'then start it without --insecure, and give the services ROLLCALL_TOKEN=…',
    ],
  });
  return { findings: [open] };
}

function preservation({ registry }: RegistryContext): Part {
  if (registry.preservation === null) return { fine: ['self-preservation holds no instance'] };
  const { text, sinceMs } = registry.preservation;
  const held = finding('self-preservation', {
    what: `Self-preservation holds${sinceMs === null ? '' : `, for ${ageText(sinceMs)}`}: the registry does not believe that this many instances are gone.`,
    evidence: [`the registry says: ${text}`],
    fix: [
      'if the network between the registry and the services is broken, fix that: it ends by itself',
      `if they are really gone: ${command('rollcall rm <id>')} for each, or wait until they have been silent long enough`,
    ],
  });
  return { findings: [held] };
}

/** The open files; the budgets are computed from its load by the formulas of docs/SIZING.md. */
function files({ registry }: RegistryContext): Part {
  if (registry.files === null) return {};
  const { open, most } = registry.files;
  if (!isTight(registry.files)) return { fine: [`${open} of the ${most} files that it may open are open`] };
  const fewFiles = finding('few-open-files', {
    what: `The registry has ${Math.max(0, most - open)} open files left of ${most}.`,
    evidence: [`the registry says: ${open} of ${most} files and connections are open`],
    fix: [remediesFor(registry.container).moreFiles],
  });
  return { findings: [fewFiles] };
}

function budgets({ registry }: RegistryContext): Part {
  if (registry.budgets.length === 0)
    return { unchecked: ['what the registry’s host carries, because it does not report that'] };
  const tight = registry.budgets.filter(({ used, have }) => isTight({ open: used, most: have }));
  if (tight.length === 0)
    return { fine: [`its host carries what there is (${registry.budgets.map(({ name }) => name).join(', ')})`] };
  const findings = tight.map(({ name, have, used, remedy }) =>
    finding('host-budget', {
      what:
        used > have
          ? `The registry’s host has too few ${name} for what it carries at its busiest.`
          : `The registry’s host has hardly enough ${name} for what it carries at its busiest.`,
      evidence: [
        `the registry says: ${name}: ${used} of ${have} are what its load of now may need, by the formula of docs/SIZING.md`,
      ],
      fix: [
        ...(name === 'open files' && registry.container !== null ? [remediesFor(registry.container).moreFiles] : []),
        remedy,
        'what each is worth: docs/SIZING.md',
      ],
    }),
  );
  return { findings };
}

const REFUSALS: Readonly<Record<string, FindingCode>> = {
  UNAUTHORIZED: 'service-not-let-in',
  CERTIFICATE_UNTRUSTED: 'service-not-let-in',
  FORBIDDEN: 'service-not-let-in',
  ADDRESS_NOT_ALLOWED: 'address-not-allowed',
  ID_HELD: 'duplicate-id',
  ADDRESS_TAKEN: 'address-taken',
  TOO_MANY: 'limit-reached',
};

const REFUSED_ACTIONS: Partial<Readonly<Record<FindingCode, string>>> = {
  'service-not-let-in': 'is not let in',
  'address-not-allowed': 'registers an address that the registry is not allowed to call',
  'address-taken': 'wants an address at which another instance answers',
  'duplicate-id': 'registers an id that another process holds',
  'limit-reached': 'is one too many for a limit of the registry',
};

/** A registry whose store has a fault refuses too, and the finding about the store covers that. */
function refusals({ registry }: RegistryContext): Part {
  const refused = registry.refused.filter(({ code }) => code !== 'NOT_READY');
  if (refused.length === 0) return { fine: ['no registration was refused within ten minutes'] };
  return { findings: refused.map((answer) => refusal(answer, registry)) };
}

/** The flag of `rollcall up` for an option that a refusal names. */
const FLAGS: readonly (readonly [RegExp, (named: string) => string])[] = [
  [/allowedNetworks|allow the network/, () => '--allow-network <network, such as 10.0.0.0/8>'],
  [/\b(max(?:Instances|Registrations|Watchers)[A-Za-z]*)\b/, (named) => `${flagOf(named)} <n>`],
];

const flagOf = (name: string): string => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** The way to set the option of a fix, for a registry that is started by its command. */
function flagFixes(fix: string, { container }: RegistryFacts): readonly string[] {
  return FLAGS.flatMap(([match, flag]) => {
    const named = match.exec(fix);
    return named === null
      ? []
      : [`where it was started by the command: ${remediesFor(container).addOption(flag(named[0]))}`];
  });
}

function refusal({ code, detail, fix, from, service, times, agoMs }: RefusedAnswer, registry: RegistryFacts): Finding {
  const found = REFUSALS[code] ?? 'registration-refused';
  const subject = service === null ? `A service at ${from}` : `${service} at ${from}`;
  return finding(found, {
    what: `${subject} ${REFUSED_ACTIONS[found] ?? 'is refused'}.`,
    evidence: [
      `the registry says: ${code}: ${detail}`,
      `${times === 1 ? 'once' : `${times} times`}, last ${ageText(agoMs)} ago`,
    ],
    fix: [fix, ...flagFixes(fix, registry)],
  });
}
