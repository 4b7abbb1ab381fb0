import { isLoopback, problemFrom } from '@rollcall/core';
import { textAt } from '../../registry/json.js';
import { urlAt } from '../facts/contact.js';
import type { Answer, Facts, Failure } from '../facts/facts.js';
import { bareHost, isCut } from '../facts/http-probe.js';
import { command } from './command.js';
import { finding } from './finding.js';
import type { Finding, FindingCode } from './finding.js';
import { remediesFor } from './fixes.js';

const ELSEWHERE = 'if it runs elsewhere, set its URL: --url or ROLLCALL_URL';

/** The finding if no registry answers; null: one does. */
export function contactFinding(facts: Facts): Finding | null {
  const { contact } = facts;
  if (facts.registry !== null) return null;
  return contact.kind === 'failure' ? unreached(facts, contact) : answered(facts, contact);
}

/** The results of all tries: each failure once, with its count. */
export function triedTexts({ attempts: tries }: Pick<Facts, 'attempts'>): readonly string[] {
  const { count: asked, failures } = tries;
  const counts = new Map<string, number>();
  for (const { text, code } of failures) {
    const shown = `${text}${code === '' || text.includes(code) ? '' : ` (${code})`}`;
    counts.set(shown, (counts.get(shown) ?? 0) + 1);
  }
  const ok = asked - failures.length;
  return [
    ...(ok > 0 ? [`asked from here: ${ok} of ${asked} tries were answered`] : []),
    ...[...counts].map(([text, times]) => `asked from here: ${text}${asked > 1 ? `, ${times} of ${asked} tries` : ''}`),
  ];
}

type Say = (found: FindingCode, what: string, ...fix: readonly string[]) => Finding;

/** No connection, or no HTTP over it. */
function unreached(facts: Facts, failure: Failure): Finding {
  const { url, addresses, local: here } = facts;
  const { host, hostname } = new URL(url);
  const shown = addresses.filter(({ isNamed, isRegistry }) => isNamed || isRegistry);
  const seen = (shown.length < 2 ? [] : shown).map(
    ({ address, text }) => `asked from here, at ${address} alone: ${text}`,
  );
  const evidence = [...triedTexts(facts), ...seen];
  const say: Say = (found, what, ...fix) => finding(found, { what, evidence, fix });
  if (here.untried > 0) {
    const limit = here.openFiles === null ? '' : ` ${here.openFiles}`;
    const own = `asked from here: ${failure.text} (${failure.code})`;
    const what = `This command may open only${limit} files, too few to ask ${host}.`;
    const fix = [remediesFor(here.container).moreLocalFiles];
    return finding('few-open-files-here', { what, evidence: evidence.length === 0 ? [own] : evidence, fix });
  }
  const other = addresses.find(({ isRegistry }) => isRegistry);
  if (other !== undefined) {
    const lost = addresses.filter(({ isRegistry }) => !isRegistry).map(({ address }) => address);
    return say(
      'registry-at-other-address',
      `No registry answers at ${lost.join(', ') || host}; one answers at ${other.address}.`,
      `set its URL: ${command(`ROLLCALL_URL=${urlAt(url, other.address)}`)}`,
      `or let it listen where ${host} leads, too: ${remediesFor(here.container).addOption('--host ::')} (IPv6 and IPv4; it then asks for tokens), or --host ${lost[0] ?? hostname}`,
    );
  }
  if (facts.isSmallAnswered)
    return say('large-answers-lost', `${host} answers small requests, and none about the registry.`, ...largeFix(url));
  return unconnected(facts, failure, say);
}

export const largeFix = (url: string): readonly string[] => [
  `does a full packet arrive? ${command(`ping -c 3 -M do -s 1472 ${bareHost(url)}`)}; where it does not, lower the MTU of the tunnel or VPN between, or clamp the MSS there (${command('iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu')})`,
  'is there a proxy between that limits the size of answers, or buffers them to a disk that is full? See its log',
];

function unconnected(facts: Facts, failure: Failure, say: Say): Finding {
  const { url, local: here, isTls, attempts: tries } = facts;
  const { host, hostname, port } = new URL(url);
  const { code, explanation: trouble, text } = failure;
  const remedies = remediesFor(here.container);
  if (tries.failures.every((one) => one.code === 'ECONNREFUSED') && code === 'ECONNREFUSED') {
    const isHere = isLoopback(hostname);
    return say(
      'registry-not-listening',
      `No process listens at ${host}.`,
      `if none runs there, start one: ${remedies.startRegistry(port || '80', false)}`,
      isHere
        ? ELSEWHERE
        : `if it runs there, let it listen beyond its own machine: ${remedies.startRegistry(port || '80', true)} (it then asks for tokens: rollcall token create)`,
    );
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return say(
      'registry-name-unknown',
      `The name ${hostname} leads nowhere.`,
      `look it up: ${remedies.resolveName(hostname)}`,
      ELSEWHERE,
    );
  if (isTls) return say('registry-speaks-tls', `${host} speaks TLS, and the URL says http.`, securedFix(url));
  if (code.startsWith('HPE_') || /Parse Error/.test(text)) return stranger(facts, failure, say);
  if (trouble !== null)
    return say(
      TROUBLES.find(([match]) => match.test(trouble))?.[1] ?? 'registry-certificate',
      `The registry at ${url} cannot be spoken to: ${trouble}`,
      troubleFix(trouble, url),
    );
  if (isCut(failure)) return closing(facts, say);
  return silent(facts, failure, say);
}

function stranger({ url, local: here }: Facts, { explanation: trouble }: Failure, say: Say): Finding {
  const { host, port } = new URL(url);
  if ((trouble ?? '').startsWith('it speaks TLS'))
    return say('registry-speaks-tls', `The registry at ${url} cannot be reached: ${trouble ?? ''}`, securedFix(url));
  const greeting = /: it says ".*"/.exec(trouble ?? '')?.[0] ?? '';
  return say(
    'not-a-registry',
    `What listens at ${host} does not use HTTP${greeting}.`,
    `see which program it is: ${remediesFor(here.container).showListener(port || '80')}`,
    ELSEWHERE,
  );
}

/**
 * Connections open and end without an answer. The cause is not visible from here: the finding has the facts, and what
 * to check.
 */
function closing({ url, local: here, hasToken }: Facts, say: Say): Finding {
  const { host } = new URL(url);
  const isSecure = url.startsWith('https:');
  const remedies = remediesFor(here.container);
  const tls = isSecure
    ? 'No TLS alert was seen, so it does not say that a certificate is the reason.'
    : 'It speaks no TLS either.';
  return say(
    'registry-closes-connections',
    `${host} takes connections and closes them without an answer. ${tls} Why cannot be seen from here.`,
    `has the registry open files left? On its machine: ${command("grep 'open files' /proc/<pid>/limits; ls /proc/<pid>/fd | wc -l")}. If not, ${remedies.moreFiles}`,
    'is it a proxy, a load balancer or a published port without a process behind it? Ask the registry itself, past it',
    ...(isSecure && !hasToken
      ? [`if it asks for client certificates: ${command('ROLLCALL_CERT_FILE=own.pem ROLLCALL_KEY_FILE=own.key')}`]
      : []),
    'see its own log: it reports connections that cannot be accepted',
  );
}

const NO_WAY: Readonly<Record<string, string>> = {
  EHOSTUNREACH: 'no machine answers at that address',
  ENETUNREACH: 'this machine has no route to that network',
  EADDRNOTAVAIL: 'this machine has no address, or no free port, to connect from',
  EACCES: 'this machine forbids the connection',
  EPERM: 'a firewall of this machine forbids the connection',
};

function silent({ url, local: here, attempts: tries }: Facts, { code, progress }: Failure, say: Say): Finding {
  const { host, hostname, port } = new URL(url);
  const kinds = new Set(tries.failures.map((one) => one.code));
  const reason = NO_WAY[code];
  const isMixed =
    kinds.size > 1 ? ' The tries ended differently, as they do if packets are lost or a process is just starting.' : '';
  const what =
    reason !== undefined
      ? `${host} is not reached: ${reason}.`
      : progress.isConnected
        ? `${host} takes connections and does not answer.`
        : `${host} does not answer.`;
  return say(
    'registry-silent',
    `${what}${isMixed}`,
    progress.isConnected
      ? `is its process stopped, or busy? On its machine: ${remediesFor(here.container).showLoad}`
      : `is the way free? ${remediesFor(here.container).tryPort(hostname, port || '80', '')}`,
    ...(reason === undefined && !isLoopback(hostname)
      ? [`are packets lost? ${command(`ping -c 20 ${bareHost(url)}`)}`]
      : []),
    ELSEWHERE,
  );
}

const TROUBLES: readonly (readonly [RegExp, FindingCode])[] = [
  [/^it speaks TLS/, 'registry-speaks-tls'],
  [/speaks no TLS/, 'registry-speaks-no-tls'],
];

const securedFix = (url: string): string => `write ${command(`ROLLCALL_URL=${url.replace(/^http:/, 'https:')}`)}`;

function troubleFix(trouble: string, url: string): string {
  const code = TROUBLES.find(([match]) => match.test(trouble))?.[1];
  if (code === 'registry-speaks-tls') return securedFix(url);
  if (code === 'registry-speaks-no-tls') return `write ${command(`ROLLCALL_URL=${url.replace(/^https:/, 'http:')}`)}`;
  if (/client certificate|our certificate/.test(trouble))
    return `show a certificate that it accepts: ${command('ROLLCALL_CERT_FILE=own.pem ROLLCALL_KEY_FILE=own.key')}`;
  if (/not valid yet/.test(trouble)) return `set the clocks of both machines: ${command('timedatectl set-ntp true')}`;
  if (/expired/.test(trouble))
    return 'put a new certificate in the place of the old one; a running registry reads it within a second';
  if (/not for this name/.test(trouble))
    return 'use a name in ROLLCALL_URL that the certificate is for, or sign one with that name';
  return `set the CA that signed its certificate: ${command('ROLLCALL_CA_FILE=ca.pem')}, or --ca-file ca.pem`;
}

/** A server answered, but not as a registry that grants access. */
function answered(facts: Facts, contact: Answer): Finding {
  const { url, local: here } = facts;
  const { host, hostname, port } = new URL(url);
  const remedies = remediesFor(here.container);
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
  const say: Say = (found, what, ...fixes) => finding(found, { what, evidence, fix: fixes });
  switch (code) {
    case 'NOT_READY':
      return say(
        'registry-not-ready',
        `The registry at ${host} is not ready.`,
        'wait, and look into its log if it stays so',
      );
    case 'MISDIRECTED':
      return say(
        'registry-name-refused',
        `The registry does not know itself as ${hostname}.`,
        `start it with this name: ${remedies.addOption(`--name ${hostname}`)}`,
        'or use its IP address in ROLLCALL_URL',
      );
    case 'UNAUTHORIZED': {
      const lapsed = /has expired|was revoked/.test(detail);
      const token = facts.hasToken ? (lapsed ? 'token-lapsed' : 'token-wrong') : 'token-missing';
      return say(
        token,
        TOKEN_WORDS[token],
        `make one where the registry runs: ${remedies.createToken('reader')}`,
        'and give it here as ROLLCALL_TOKEN=…',
      );
    }
    case 'FORBIDDEN':
      return say('access-forbidden', 'The registry knows the caller, which is not allowed to read.', fix);
    default:
      return say('registry-refuses', `The registry at ${host} does not report its own state.`, fix);
  }
}

const TOKEN_WORDS = {
  'token-missing': 'The registry asks for a token, and none was shown.',
  'token-wrong': 'The registry does not accept what it was shown.',
  'token-lapsed': 'The token is no longer valid.',
} as const;
