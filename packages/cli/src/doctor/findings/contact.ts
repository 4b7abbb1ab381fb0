import { isLoopback, problemFrom } from '@rollcall/core';
import { textAt } from '../../registry/json.js';
import { urlAt } from '../facts/contact.js';
import type { ProbeAnswer, Facts, ProbeFailure } from '../facts/facts.js';
import { bareHost, isConnectionLost } from '../facts/http-probe.js';
import { command } from './command.js';
import { finding } from './finding.js';
import type { Finding, FindingCode } from './finding.js';
import { remediesFor } from './fixes.js';

const ELSEWHERE = 'if it runs elsewhere, set its URL: --url or ROLLCALL_URL';

/** The finding if no registry answers; null: one does. */
export function contactFinding(facts: Facts): Finding | null {
  const { contact } = facts;
  if (facts.registry !== null) return null;
  return contact.kind === 'failure' ? unreachedFinding(facts, contact) : answeredFinding(facts, contact);
}

/** The results of all tries: each failure once, with its count. */
export function attemptTexts({ attempts }: Pick<Facts, 'attempts'>): readonly string[] {
  const { count, failures } = attempts;
  const counts = new Map<string, number>();
  for (const { text, code } of failures) {
    const shown = `${text}${code === '' || text.includes(code) ? '' : ` (${code})`}`;
    counts.set(shown, (counts.get(shown) ?? 0) + 1);
  }
  const answeredCount = count - failures.length;
  return [
    ...(answeredCount > 0 ? [`asked from here: ${answeredCount} of ${count} tries were answered`] : []),
    ...[...counts].map(([text, times]) => `asked from here: ${text}${count > 1 ? `, ${times} of ${count} tries` : ''}`),
  ];
}

type CreateFinding = (found: FindingCode, what: string, ...fix: readonly string[]) => Finding;

/** No connection, or no HTTP over it. */
function unreachedFinding(facts: Facts, failure: ProbeFailure): Finding {
  const { url, addresses, local } = facts;
  const { host, hostname } = new URL(url);
  const shown = addresses.filter(({ isNamed, isRegistry }) => isNamed || isRegistry);
  const seen = (shown.length < 2 ? [] : shown).map(
    ({ address, text }) => `asked from here, at ${address} alone: ${text}`,
  );
  const evidence = [...attemptTexts(facts), ...seen];
  const create: CreateFinding = (found, what, ...fix) => finding(found, { what, evidence, fix });
  if (local.untried > 0) {
    const limit = local.openFiles === null ? '' : ` ${local.openFiles}`;
    const own = `asked from here: ${failure.text} (${failure.code})`;
    const what = `This command may open only${limit} files, too few to ask ${host}.`;
    const fix = [remediesFor(local.container).moreLocalFiles];
    return finding('few-open-files-here', { what, evidence: evidence.length === 0 ? [own] : evidence, fix });
  }
  const other = addresses.find(({ isRegistry }) => isRegistry);
  if (other !== undefined) {
    const lost = addresses.filter(({ isRegistry }) => !isRegistry).map(({ address }) => address);
    return create(
      'registry-at-other-address',
      `No registry answers at ${lost.join(', ') || host}; one answers at ${other.address}.`,
      `set its URL: ${command(`ROLLCALL_URL=${urlAt(url, other.address)}`)}`,
      `or let it listen where ${host} leads, too: ${remediesFor(local.container).addOption('--host ::')} (IPv6 and IPv4; it then asks for tokens), or --host ${lost[0] ?? hostname}`,
    );
  }
  if (facts.isSmallAnswered)
    return create(
      'large-answers-lost',
      `${host} answers small requests, and none about the registry.`,
      ...largeFix(url),
    );
  return unconnectedFinding(facts, failure, create);
}

export const largeFix = (url: string): readonly string[] => [
  `does a full packet arrive? ${command(`ping -c 3 -M do -s 1472 ${bareHost(url)}`)}; where it does not, lower the MTU of the tunnel or VPN between, or clamp the MSS there (${command('iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu')})`,
  'is there a proxy between that limits the size of answers, or buffers them to a disk that is full? See its log',
];

function unconnectedFinding(facts: Facts, failure: ProbeFailure, create: CreateFinding): Finding {
  const { url, local, isTls, attempts } = facts;
  const { host, hostname, port } = new URL(url);
  const { code, explanation, text } = failure;
  const remedies = remediesFor(local.container);
  if (attempts.failures.every((attempt) => attempt.code === 'ECONNREFUSED') && code === 'ECONNREFUSED') {
    const isHere = isLoopback(hostname);
    return create(
      'registry-not-listening',
      `No process listens at ${host}.`,
      `if none runs there, start one: ${remedies.startRegistry(port || '80', false)}`,
      isHere
        ? ELSEWHERE
        : `if it runs there, let it listen beyond its own machine: ${remedies.startRegistry(port || '80', true)} (it then asks for tokens: rollcall token create)`,
    );
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return create(
      'registry-name-unknown',
      `The name ${hostname} leads nowhere.`,
      `look it up: ${remedies.resolveName(hostname)}`,
      ELSEWHERE,
    );
  if (isTls) return create('registry-speaks-tls', `${host} speaks TLS, and the URL says http.`, httpsFix(url));
  if (code.startsWith('HPE_') || /Parse Error/.test(text)) return foreignFinding(facts, failure, create);
  if (explanation !== null)
    return create(
      TLS_FINDINGS.find(([match]) => match.test(explanation))?.[1] ?? 'registry-certificate',
      `The registry at ${url} cannot be spoken to: ${explanation}`,
      explanationFix(explanation, url),
    );
  if (isConnectionLost(failure)) return closingFinding(facts, create);
  return silentFinding(facts, failure, create);
}

function foreignFinding({ url, local }: Facts, { explanation }: ProbeFailure, create: CreateFinding): Finding {
  const { host, port } = new URL(url);
  if ((explanation ?? '').startsWith('it speaks TLS'))
    return create(
      'registry-speaks-tls',
      `The registry at ${url} cannot be reached: ${explanation ?? ''}`,
      httpsFix(url),
    );
  const greeting = /: it says ".*"/.exec(explanation ?? '')?.[0] ?? '';
  return create(
    'not-a-registry',
    `The process at ${host} does not use HTTP${greeting}.`,
    `see which program it is: ${remediesFor(local.container).showListener(port || '80')}`,
    ELSEWHERE,
  );
}

/**
 * Connections open and end without an answer. The cause is not visible from here: the finding has the facts, and what
 * to check.
 */
function closingFinding({ url, local, hasToken }: Facts, create: CreateFinding): Finding {
  const { host } = new URL(url);
  const isSecure = url.startsWith('https:');
  const remedies = remediesFor(local.container);
  const tls = isSecure
    ? 'No TLS alert was seen, so it does not say that a certificate is the reason.'
    : 'It speaks no TLS either.';
  return create(
    'registry-closes-connections',
    `${host} takes connections and closes them without an answer. ${tls} The reason is not visible from here.`,
    `has the registry open files left? On its machine: ${command("grep 'open files' /proc/<pid>/limits; ls /proc/<pid>/fd | wc -l")}. If not, ${remedies.moreFiles}`,
    'is it a proxy, a load balancer or a published port without a process behind it? Ask the registry itself, past it',
    ...(isSecure && !hasToken
      ? [`if it asks for client certificates: ${command('ROLLCALL_CERT_FILE=own.pem ROLLCALL_KEY_FILE=own.key')}`]
      : []),
    'see its own log: it reports connections that cannot be accepted',
  );
}

const ROUTE_ERRORS: Readonly<Record<string, string>> = {
  EHOSTUNREACH: 'no machine answers at that address',
  ENETUNREACH: 'this machine has no route to that network',
  EADDRNOTAVAIL: 'this machine has no address, or no free port, to connect from',
  EACCES: 'this machine forbids the connection',
  EPERM: 'a firewall of this machine forbids the connection',
};

function silentFinding(
  { url, local, attempts }: Facts,
  { code, progress }: ProbeFailure,
  create: CreateFinding,
): Finding {
  const { host, hostname, port } = new URL(url);
  const kinds = new Set(attempts.failures.map((failure) => failure.code));
  const reason = ROUTE_ERRORS[code];
  const isMixed =
    kinds.size > 1 ? ' The tries ended differently, as they do if packets are lost or a process is just starting.' : '';
  const what =
    reason !== undefined
      ? `${host} is not reached: ${reason}.`
      : progress.isConnected
        ? `${host} takes connections and does not answer.`
        : `${host} does not answer.`;
  return create(
    'registry-silent',
    `${what}${isMixed}`,
    progress.isConnected
      ? `is its process stopped, or busy? On its machine: ${remediesFor(local.container).showLoad}`
      : `is the way free? ${remediesFor(local.container).tryPort(hostname, port || '80', '')}`,
    ...(reason === undefined && !isLoopback(hostname)
      ? [`are packets lost? ${command(`ping -c 20 ${bareHost(url)}`)}`]
      : []),
    ELSEWHERE,
  );
}

const TLS_FINDINGS: readonly (readonly [RegExp, FindingCode])[] = [
  [/^it speaks TLS/, 'registry-speaks-tls'],
  [/speaks no TLS/, 'registry-speaks-no-tls'],
];

const httpsFix = (url: string): string => `write ${command(`ROLLCALL_URL=${url.replace(/^http:/, 'https:')}`)}`;

function explanationFix(explanation: string, url: string): string {
  const code = TLS_FINDINGS.find(([match]) => match.test(explanation))?.[1];
  if (code === 'registry-speaks-tls') return httpsFix(url);
  if (code === 'registry-speaks-no-tls') return `write ${command(`ROLLCALL_URL=${url.replace(/^https:/, 'http:')}`)}`;
  if (/client certificate|our certificate/.test(explanation))
    return `show a certificate that it accepts: ${command('ROLLCALL_CERT_FILE=own.pem ROLLCALL_KEY_FILE=own.key')}`;
  if (/not valid yet/.test(explanation))
    return `set the clocks of both machines: ${command('timedatectl set-ntp true')}`;
  if (/expired/.test(explanation))
    return 'put a new certificate in the place of the old one; a running registry reads it within a second';
  if (/not for this name/.test(explanation))
    return 'use a name in ROLLCALL_URL that the certificate is for, or sign one with that name';
  return `set the CA that signed its certificate: ${command('ROLLCALL_CA_FILE=ca.pem')}, or --ca-file ca.pem`;
}

/** A server answered, but not as a registry that grants access. */
function answeredFinding(facts: Facts, contact: ProbeAnswer): Finding {
  const { url, local } = facts;
  const { host, hostname, port } = new URL(url);
  const remedies = remediesFor(local.container);
  const type = textAt(contact.body, 'type') ?? '';
  if (!type.startsWith('urn:rollcall:')) {
    const program = [contact.server, contact.contentType].filter((text) => text !== '').join(', ');
    const evidence = [
      `asked from here: GET /api/v1/registry is answered with ${contact.status}${program === '' ? '' : ` (${program})`}: ${contact.text.split('\n')[0] ?? ''}`,
    ];
    const fix = [`see which program it is: ${remedies.showListener(port || '80')}`, ELSEWHERE];
    return finding('not-a-registry', { what: `Another program answers at ${host}.`, evidence, fix });
  }
  const { code, detail, fix } = problemFrom(contact.status, contact.body);
  const evidence = [`the registry says: ${contact.status} ${code}: ${detail}`];
  const create: CreateFinding = (found, what, ...fixes) => finding(found, { what, evidence, fix: fixes });
  switch (code) {
    case 'NOT_READY':
      return create(
        'registry-not-ready',
        `The registry at ${host} is not ready.`,
        'wait, and look into its log if it stays so',
      );
    case 'MISDIRECTED':
      return create(
        'registry-name-refused',
        `The registry does not know itself as ${hostname}.`,
        `start it with this name: ${remedies.addOption(`--name ${hostname}`)}`,
        'or use its IP address in ROLLCALL_URL',
      );
    case 'UNAUTHORIZED': {
      const lapsed = /has expired|was revoked/.test(detail);
      const token = facts.hasToken ? (lapsed ? 'token-lapsed' : 'token-wrong') : 'token-missing';
      return create(
        token,
        TOKEN_TEXTS[token],
        `make one where the registry runs: ${remedies.createToken('reader')}`,
        'and give it here as ROLLCALL_TOKEN=…',
      );
    }
    case 'FORBIDDEN':
      return create('access-forbidden', 'The registry knows the caller, which is not allowed to read.', fix);
    default:
      return create('registry-refuses', `The registry at ${host} does not report its own state.`, fix);
  }
}

const TOKEN_TEXTS = {
  'token-missing': 'The registry asks for a token, and none was shown.',
  'token-wrong': 'The registry does not accept what it was shown.',
  'token-lapsed': 'The token is no longer valid.',
} as const;
