import { isLoopback, sleep, systemTime } from '@rollcall/core';
import { numberAt, textAt } from '../../registry/json.js';
import type { AddressFacts, ProbeResult, ContactFacts } from './facts.js';
import { addressesOf, isConnectionLost, speaksTls } from './http-probe.js';
import type { RegistryProbe } from './http-probe.js';

export const STATUS_PATH = '/api/v1/registry';
const SMALL_PATH = '/health/live';
/** Further tries find intermittent failures. */
const FURTHER_TRIES = 5;
const TRY_INTERVAL_MS = 150;

/** Asks about the registry until it is clear how it is reached. Takes 10 s at most. */
export async function probeContact(probe: RegistryProbe): Promise<ContactFacts> {
  const first = await probe.getOnce(STATUS_PATH);
  const further = first.kind === 'answer' ? [] : await probeRepeatedly(probe, STATUS_PATH);
  const contact = [...further, first].find(({ kind }) => kind === 'answer') ?? mostInformative(first, further);
  const isLost = contact.kind === 'failure';
  const [small, isTls, addresses] = await Promise.all([
    isLost && contact.code === 'ETIMEDOUT' ? probe.getOnce(SMALL_PATH) : null,
    isLost && isConnectionLost(contact) && probe.url.startsWith('http:') ? speaksTls(probe.url) : false,
    addressFacts(probe, contact),
  ]);
  return { contact, isSmallAnswered: small?.kind === 'answer', isTls, addresses };
}

/** Sends several small requests to a registry that answered once, to check that every connection opens. */
export async function probeRepeatedly(probe: RegistryProbe, path = SMALL_PATH): Promise<readonly ProbeResult[]> {
  return Promise.all(
    Array.from({ length: FURTHER_TRIES }, async (_, index) => {
      await sleep(systemTime, index * TRY_INTERVAL_MS);
      return probe.getOnce(path);
    }),
  );
}

/** A certificate or an alert explains more than a connection that ended, and that explains more than silence. */
function explanationRank(result: ProbeResult): number {
  if (result.kind === 'answer') return 0;
  if (result.explanation !== null) return 1;
  return result.code === 'ETIMEDOUT' ? 3 : 2;
}

const mostInformative = (first: ProbeResult, further: readonly ProbeResult[]): ProbeResult =>
  further.reduce((best, next) => (explanationRank(next) < explanationRank(best) ? next : best), first);

/**
 * The answers of the addresses of the URL's host, if they matter: there are several, none answers, or the registry is
 * empty. Of loopback the address of the other family is looked at, too: `localhost` may lead to either.
 */
async function addressFacts(probe: RegistryProbe, contact: ProbeResult): Promise<readonly AddressFacts[]> {
  const named = await addressesOf(probe.url);
  const isEmpty = contact.kind === 'answer' && numberAt(contact.body, 'instances') === 0;
  const unnamed =
    isLoopback(new URL(probe.url).hostname) && (contact.kind === 'failure' || isEmpty)
      ? ['127.0.0.1', '::1'].filter((address) => !named.includes(address))
      : [];
  if (named.length + unnamed.length < 2) return [];
  return Promise.all([
    ...named.map(async (address) => toAddressFacts(address, true, await probe.getOnce(STATUS_PATH, address))),
    ...unnamed.map(async (address) =>
      toAddressFacts(address, false, await probe.getAt(urlAt(probe.url, address), STATUS_PATH)),
    ),
  ]);
}

function toAddressFacts(address: string, isNamed: boolean, result: ProbeResult): AddressFacts {
  return { address, isNamed, ...identityOf(result) };
}

/** The registry that an answer is from, and its number of instances. */
export function identityOf(result: ProbeResult): Omit<AddressFacts, 'address' | 'isNamed'> {
  if (result.kind === 'failure') return { isRegistry: false, epoch: null, instances: 0, text: result.text };
  const { status, body } = result;
  const epoch = textAt(body, 'epoch');
  const instances = numberAt(body, 'instances') ?? 0;
  const isRegistry = epoch !== null || (textAt(body, 'type') ?? '').startsWith('urn:rollcall:');
  const answer = `${status} ${textAt(body, 'code') ?? result.text}`;
  const text = epoch === null ? `answers ${answer}` : `a registry of epoch ${epoch} with ${instances} instances`;
  return { isRegistry, epoch, instances, text };
}

/** The same URL at another address. */
export function urlAt(url: string, address: string): string {
  const at = new URL(url);
  at.hostname = address.includes(':') ? `[${address}]` : address;
  return at.href.replace(/\/+$/, '');
}
