import { setTimeout as pass } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { PROTOCOLS } from './law-caller.js';
import { openLink } from './law-link.js';
import type { Link } from './law-link.js';
import { compare, failedBySecond, findFailures, startLawFixture, runUnderLoad, warmUp } from './law-fixture.js';
import type { LawFixture, Pair, PairReport, Place } from './law-fixture.js';
import { endAll } from './spawn.js';

const LOAD = { rates: { find: 60 }, terms: { find: { deadlineMs: 5_000, idempotent: true } } };
const SKIPPED = 'needs root, Perl and /dev/net/tun for a network that can be cut';
const CALM_MS = 1_000;
const CUT_MS = 4_000;
const AFTERMATH_MS = 3_000;
/** Shorter than a deadline, so that retransmissions of TCP arrive in time. */
const SHORT_CUT_MS = 1_500;

let link: Link | null = null;
let fixture: LawFixture | null = null;

afterEach(async () => {
  await fixture?.close();
  await link?.close();
  fixture = null;
  link = null;
  await endAll();
});

/** The registry at the far end of a link and this many instances in each of these places. Null: not supported here. */
async function openZones(
  zones: (ends: Link) => Readonly<Record<string, Place>>,
): Promise<{ link: Link; fixture: LawFixture; pairs: readonly Pair[] } | null> {
  link = await openLink();
  if (link === null) return null;
  const opened = await startLawFixture(0, link.far);
  fixture = opened;
  const places = Object.entries(zones(link)).flatMap(([zone, place]) =>
    Array.from({ length: 3 }, () => ({ zone, place })),
  );
  await Promise.all(places.map(({ place, zone }) => opened.launch(place, zone)));
  const near = { place: link.near, zone: 'a' };
  const pairs = await warmUp(await Promise.all(PROTOCOLS.map((over) => opened.pair(over, near))));
  return { link, fixture: opened, pairs };
}

const cut = async (ends: Link, ports: readonly number[] | '*', ms: number): Promise<void> => {
  await pass(CALM_MS);
  await ends.drop(ports);
  await pass(ms);
  await ends.delay(ports, 0);
  await pass(AFTERMATH_MS);
};

it('a zone cut off from the other one and the registry fails no call of its own', async ({ skip }) => {
  const zones = await openZones(({ near, far }) => ({ a: near, b: far }));
  if (zones === null) return skip(SKIPPED);
  const run = (): Promise<readonly PairReport[]> => runUnderLoad(zones.pairs, LOAD, () => cut(zones.link, '*', CUT_MS));
  expect(await compare('zone-cut-off', run, { findViolations: findFailures, details: failedBySecond })).toEqual([]);
});

it('three of six instances that the caller cannot reach, all of its own zone, fail no call', async ({ skip }) => {
  const zones = await openZones(({ far }) => ({ a: far, b: far }));
  if (zones === null) return skip(SKIPPED);
  const ports = zones.fixture.instances.filter(({ zone }) => zone === 'a').flatMap((one) => Object.values(one.ports));
  const run = (): Promise<readonly PairReport[]> =>
    runUnderLoad(zones.pairs, LOAD, () => cut(zones.link, ports, CUT_MS));
  expect(await compare('own-zone-cut-off', run, { findViolations: findFailures, details: failedBySecond })).toEqual([]);
});

it('a caller that reaches no instance for a short time fails no call', async ({ skip }) => {
  const zones = await openZones(({ far }) => ({ a: far }));
  if (zones === null) return skip(SKIPPED);
  const run = (): Promise<readonly PairReport[]> =>
    runUnderLoad(zones.pairs, LOAD, () => cut(zones.link, '*', SHORT_CUT_MS));
  expect(await compare('caller-cut-off', run, { details: failedBySecond })).toEqual([]);
});
