import { isLoopback, problemFrom } from '@rollcall/core';
import type { Answer, Facts, Failure } from './facts.js';
import { finding } from './finding.js';
import type { Finding, FindingCode } from './finding.js';
import { textAt } from '../json.js';

const ELSEWHERE = 'if it runs elsewhere, say where: --url or ROLLCALL_URL';

/** Why no registry answers; null: one does. */
export function contactFinding(facts: Facts): Finding | null {
  const { contact } = facts;
  if (facts.registry !== null) return null;
  return contact.kind === 'failure' ? unreached(facts, contact) : answered(facts, contact);
}

/** No connection, or no HTTP over it. */
function unreached({ url }: Facts, failure: Failure): Finding {
  const { host, hostname, port } = new URL(url);
  const evidence = [`asked from here: ${failure.text}${failure.code === '' ? '' : ` (${failure.code})`}`];
  const { code, trouble, text } = failure;
  const say = (found: FindingCode, what: string, ...fix: readonly string[]): Finding =>
    finding(found, { what, evidence, fix });
  if (code === 'ECONNREFUSED') {
    const start = port === '1337' || port === '' ? 'npx rollcall up' : `npx rollcall up --port ${port}`;
    const beyond = isLoopback(hostname)
      ? ELSEWHERE
      : `if it runs there, let it listen beyond its own machine: ${start} --host 0.0.0.0 (it then asks for tokens: rollcall token create)`;
    return say('registry-not-listening', `Nobody listens at ${host}.`, `start a registry there: ${start}`, beyond);
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return say(
      'registry-name-unknown',
      `The name ${hostname} leads nowhere.`,
      `look it up: getent hosts ${hostname}`,
      ELSEWHERE,
    );
  if ((code.startsWith('HPE_') || /Parse Error/.test(text)) && !(trouble ?? '').startsWith('it speaks TLS')) {
    const greeting = /: it says ".*"/.exec(trouble ?? '')?.[0] ?? '';
    return say('not-a-registry', `What listens at ${host} speaks no HTTP${greeting}.`, ...strangerFix(port));
  }
  if (trouble !== null)
    return say(
      TROUBLES.find(([match]) => match.test(trouble))?.[1] ?? 'registry-certificate',
      `The registry at ${url} cannot be spoken to: ${trouble}`,
      troubleFix(trouble, url),
    );
  return say(
    'registry-silent',
    `${host} does not answer.`,
    `is the way free? nc -vz ${hostname} ${port || '80'}`,
    ELSEWHERE,
  );
}

const TROUBLES: readonly (readonly [RegExp, FindingCode])[] = [
  [/^it speaks TLS/, 'registry-speaks-tls'],
  [/without an answer/, 'registry-silent'],
  [/speaks no TLS/, 'registry-speaks-no-tls'],
];

function troubleFix(trouble: string, url: string): string {
  const code = TROUBLES.find(([match]) => match.test(trouble))?.[1];
  if (code === 'registry-speaks-tls' || code === 'registry-silent')
    return `write ROLLCALL_URL=${url.replace(/^http:/, 'https:')}`;
  if (code === 'registry-speaks-no-tls') return `write ROLLCALL_URL=${url.replace(/^https:/, 'http:')}`;
  if (/client certificate|our certificate/.test(trouble))
    return 'show a certificate that it accepts: ROLLCALL_CERT_FILE=own.pem ROLLCALL_KEY_FILE=own.key';
  if (/not valid yet/.test(trouble)) return 'set the clocks of both machines: timedatectl set-ntp true';
  if (/expired/.test(trouble))
    return 'put a new certificate in the place of the old one; a running registry reads it within a second';
  if (/not for this name/.test(trouble))
    return 'use a name in ROLLCALL_URL that the certificate is for, or sign one with that name';
  return 'say who may sign for it: ROLLCALL_CA_FILE=ca.pem, or --ca-file ca.pem';
}

function strangerFix(port: string): readonly string[] {
  return [`see who it is: ss -ltnp 'sport = :${port || '80'}'`, ELSEWHERE];
}

/** Somebody answered, but not as a registry that lets us in. */
function answered(facts: Facts, contact: Answer): Finding {
  const { url } = facts;
  const { host, hostname, port } = new URL(url);
  const type = textAt(contact.body, 'type') ?? '';
  if (!type.startsWith('urn:rollcall:')) {
    const program = [contact.server, contact.contentType].filter((said) => said !== '').join(', ');
    const evidence = [
      `asked from here: GET /api/v1/registry is answered with ${contact.status}${program === '' ? '' : ` (${program})`}: ${contact.text.split('\n')[0] ?? ''}`,
    ];
    return finding('not-a-registry', { what: `Another program answers at ${host}.`, evidence, fix: strangerFix(port) });
  }
  const { code, detail, fix } = problemFrom(contact.status, contact.body);
  const evidence = [`the registry says: ${contact.status} ${code}: ${detail}`];
  const say = (found: FindingCode, what: string, ...fixes: readonly string[]): Finding =>
    finding(found, { what, evidence, fix: fixes });
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
        `start it with this name: rollcall up --name ${hostname}`,
        'or use its IP address in ROLLCALL_URL',
      );
    case 'UNAUTHORIZED': {
      const lapsed = /has expired|was revoked/.test(detail);
      const token = facts.hasToken ? (lapsed ? 'token-lapsed' : 'token-wrong') : 'token-missing';
      return say(
        token,
        TOKEN_WORDS[token],
        'make one where the registry runs: rollcall token create --role reader',
        'and give it here as ROLLCALL_TOKEN=…',
      );
    }
    case 'FORBIDDEN':
      return say('access-forbidden', 'The registry knows who asks, and that is not allowed to read.', fix);
    default:
      return say('registry-refuses', `The registry at ${host} does not answer a question about itself.`, fix);
  }
}

const TOKEN_WORDS = {
  'token-missing': 'The registry asks for a token, and none was shown.',
  'token-wrong': 'The registry does not accept what it was shown.',
  'token-lapsed': 'The token is no longer valid.',
} as const;
