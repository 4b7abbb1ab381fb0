import { isLoopback, sleep, systemTime } from '@rollcall/core';
import { numberAt, textAt } from '../../registry/json.js';
import type { AddressFacts, Asked, ContactFacts } from './facts.js';
import { addressesOf, isCut, speaksTls } from './http-probe.js';
import type { Asker } from './http-probe.js';

export const ABOUT = '/api/v1/registry';
const SMALL = '/health/live';
/** Delays of further tries, so that intermittent failures are found. */
const MORE = 5;
const APART_MS = 150;

/** Asks about the registry until it is clear how it is reached. Takes 10 s at most. */
export async function contactOf(asker: Asker): Promise<ContactFacts> {
  const first = await asker.once(ABOUT);
  const more = first.kind === 'answer' ? [] : await insist(asker, ABOUT);
  const contact = [...more, first].find(({ kind }) => kind === 'answer') ?? mostTelling(first, more);
  const isLost = contact.kind === 'failure';
  const [small, isTls, addresses] = await Promise.all([
    isLost && contact.code === 'ETIMEDOUT' ? asker.once(SMALL) : null,
    isLost && isCut(contact) && asker.url.startsWith('http:') ? speaksTls(asker.url) : false,
    addressFacts(asker, contact),
  ]);
  return { contact, isSmallAnswered: small?.kind === 'answer', isTls, addresses };
}

/** Sends several small requests to a registry that answered once, to check that every connection opens. */
export async function insist(asker: Asker, path = SMALL): Promise<readonly Asked[]> {
  return Promise.all(
    Array.from({ length: MORE }, async (_, index) => {
      await sleep(systemTime, index * APART_MS);
      return asker.once(path);
    }),
  );
}

/** A certificate or an alert explains more than a connection that ended, and that explains more than silence. */
function rankOf(asked: Asked): number {
  if (asked.kind === 'answer') return 0;
  if (asked.explanation !== null) return 1;
  return asked.code === 'ETIMEDOUT' ? 3 : 2;
}

const mostTelling = (first: Asked, more: readonly Asked[]): Asked =>
  more.reduce((best, next) => (rankOf(next) < rankOf(best) ? next : best), first);

/**
 * The answers of the addresses of the URL's host, if they matter: there are several, none answers, or the registry is
 * empty. Of loopback the address of the other family is looked at, too: `localhost` may lead to either.
 */
async function addressFacts(asker: Asker, contact: Asked): Promise<readonly AddressFacts[]> {
  const named = await addressesOf(asker.url);
  const isEmpty = contact.kind === 'answer' && numberAt(contact.body, 'instances') === 0;
  const others =
    isLoopback(new URL(asker.url).hostname) && (contact.kind === 'failure' || isEmpty)
      ? ['127.0.0.1', '::1'].filter((address) => !named.includes(address))
      : [];
  if (named.length + others.length < 2) return [];
  return Promise.all([
    ...named.map(async (address) => addressFact(address, true, await asker.once(ABOUT, address))),
    ...others.map(async (address) =>
      addressFact(address, false, await asker.elsewhere(urlAt(asker.url, address), ABOUT)),
    ),
  ]);
}

function addressFact(address: string, isNamed: boolean, asked: Asked): AddressFacts {
  return { address, isNamed, ...identityOf(asked) };
}

/** The registry that an answer is from, and its number of instances. */
export function identityOf(asked: Asked): Omit<AddressFacts, 'address' | 'isNamed'> {
  if (asked.kind === 'failure') return { isRegistry: false, epoch: null, instances: 0, text: asked.text };
  const { status, body } = asked;
  const epoch = textAt(body, 'epoch');
  const instances = numberAt(body, 'instances') ?? 0;
  const isRegistry = epoch !== null || (textAt(body, 'type') ?? '').startsWith('urn:rollcall:');
  const answer = `${status} ${textAt(body, 'code') ?? asked.text}`;
  const text = epoch === null ? `answers ${answer}` : `a registry of epoch ${epoch} with ${instances} instances`;
  return { isRegistry, epoch, instances, text };
}

/** The same URL at another address. */
export function urlAt(url: string, address: string): string {
  const at = new URL(url);
  at.hostname = address.includes(':') ? `[${address}]` : address;
  return at.href.replace(/\/+$/, '');
}
