/** The effects of a command on callers, and the confirmation by the person at the terminal. */
import { countCallable, isCallable } from '@rollcall/core';
import type { RegistryApi } from '../../registry/registry-api.js';
import { edgesIn, rateText, sumOf } from '../../registry/traffic.js';
import type { Edge } from '../../registry/traffic.js';
import type { Shell } from '../../terminal/shell.js';
import { aligned, printable } from '../../terminal/texts.js';
import type { AdminTarget } from './targets.js';

/** The maximum numbers of instances and callers that are named. */
const MAX_LISTED = 50;
const MAX_CALLERS = 3;

/** Instances of one service that a command acts on, by id. */
interface AffectedService {
  readonly service: string;
  /** The API for the namespace of the service. */
  readonly api: RegistryApi;
  readonly ids: ReadonlySet<string>;
}

function affectedServices(targets: readonly AdminTarget[]): readonly AffectedService[] {
  const found = new Map<string, { service: string; api: RegistryApi; ids: Set<string> }>();
  for (const { id, api, instance } of targets) {
    if (instance === null) continue;
    const { namespace, service } = instance;
    const key = `${namespace}/${service}`;
    const known = found.get(key) ?? { service, api: api.within(namespace), ids: new Set() };
    known.ids.add(id);
    found.set(key, known);
  }
  return [...found.values()];
}

/** A sentence for each service whose last callable instance is among these: its callers, and their rate. */
export async function outagesAfter(targets: readonly AdminTarget[]): Promise<readonly string[]> {
  const sentences: string[] = [];
  for (const { service, api, ids } of affectedServices(targets)) {
    const { instances } = await api.service(service);
    const callable = instances.filter(isCallable);
    if (callable.length === 0 || callable.some(({ id }) => !ids.has(id))) continue;
    // drain also if the registry does not answer this
    const topology = await api.topology().catch(() => null);
    const callers = topology === null ? '' : `; ${callersText(edgesIn(topology), service)}`;
    sentences.push(`After this no instance of ${service} may be called, and every call to it fails${callers}.`);
  }
  return sentences;
}

/** `payments-api and vouchers call it (46/s)` */
function callersText(edges: readonly Edge[], service: string): string {
  const calling = edges.filter(({ to, perSecond, inFlight }) => to === service && (perSecond > 0 || inFlight > 0));
  const names = [...new Set(calling.toSorted((a, b) => b.perSecond - a.perSecond).map(({ from }) => from))];
  const sum = sumOf(calling);
  if (sum === null) return 'no service has reported calls to it in the last 15 s';
  const hiddenCount = names.length - MAX_CALLERS;
  const listed = hiddenCount <= 0 ? names : [...names.slice(0, MAX_CALLERS), `${hiddenCount} more`];
  const last = listed.length === 1 ? '' : ` and ${listed.at(-1) ?? ''}`;
  const first = last === '' ? listed : listed.slice(0, -1);
  return `${first.join(', ')}${last} ${names.length === 1 ? 'calls' : 'call'} it (${rateText(sum)})`;
}

/** `3 of 5 instances of orders may be called.`, a line for each service with a callable instance, as of now. */
export async function remainingCallable(
  targets: readonly AdminTarget[],
): Promise<readonly { readonly text: string; readonly isOut: boolean }[]> {
  const lines: { text: string; isOut: boolean }[] = [];
  for (const { service, api } of affectedServices(targets)) {
    const { instances } = await api.service(service);
    const { all, callable } = countCallable(instances);
    const isOut = callable === 0;
    const text = isOut
      ? `No instance of ${service} may be called now: every call to it fails until one is.`
      : `${callable} of ${all} ${all === 1 ? 'instance' : 'instances'} of ${service} may be called.`;
    lines.push({ text, isOut });
  }
  return lines;
}

/** An action to be confirmed. */
interface Plan {
  /** `drain`, `put into maintenance`. */
  readonly action: string;
  readonly targets: readonly AdminTarget[];
  /** True if `--service` selected them: then they are listed, and confirmation is required. */
  readonly isByService: boolean;
  /** The effects of the action: each is a reason to ask for confirmation. */
  readonly warnings: readonly string[];
  /** `--yes` */
  readonly isPreapproved: boolean;
}

/**
 * Prints warnings on standard error, and asks for confirmation on a terminal. False: the person declined. True without
 * a terminal, so that scripts continue.
 */
export async function confirmAction(
  { action, targets, isByService, warnings, isPreapproved }: Plan,
  shell: Shell,
): Promise<boolean> {
  const ask = isPreapproved || (!isByService && warnings.length === 0) ? null : shell.ask;
  if (ask !== null && isByService) {
    shell.err(`To ${action}: ${targets.length} ${targets.length === 1 ? 'instance' : 'instances'}`);
    for (const line of targetRows(targets)) shell.err(`  ${line}`);
  }
  for (const warning of warnings) shell.err(warning);
  if (ask === null) return true;
  const isYes = /^\s*y(es)?\s*$/i.test(await ask('Continue? [y/N] '));
  if (!isYes) shell.err('Nothing was changed.');
  return isYes;
}

function targetRows(targets: readonly AdminTarget[]): readonly string[] {
  const rows = targets.slice(0, MAX_LISTED).map(({ name, instance }) => {
    if (instance === null) return [name, 'removed', '', ''];
    const { state, admin, version, zone } = instance;
    return [name, admin === 'ENABLED' ? state : admin, printable(version), zone];
  });
  const hiddenCount = targets.length - MAX_LISTED;
  return hiddenCount > 0 ? [...aligned(rows), `and ${hiddenCount} more`] : aligned(rows);
}
