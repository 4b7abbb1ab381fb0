import { useSignal } from '@preact/signals';
import type { VNode } from 'preact';
import type { RegistryAnswer } from '../model/live/answers.js';
import type { Api } from '../model/live/api.js';
import { registryUrl } from '../model/live/api.js';
import { knownAsOf, valueOf } from '../model/live/known.js';
import { useKnown, useSession, useStaleSince } from '../model/live/session.js';
import { ageText, clockText, countText, latencyText } from '../model/text/age.js';
import { Announcer } from '../parts/announcer.js';
import { Preservation } from '../parts/charts/preservation.js';
import { Code } from '../parts/copy.js';
import { StateWord } from '../parts/glyph.js';
import { TableHead } from '../parts/table-head.js';
import { Clip } from '../parts/name.js';
import { Facts, Head, Panel } from '../parts/panel.js';
import { save } from '../parts/save.js';
import { asOfText, UnknownScreen } from '../parts/unknown.js';

/** The registry itself: does it serve, how it is set, how to reach it. */
export function RegistryScreen(): VNode {
  const { api, roll } = useSession();
  const staleSince = useStaleSince();
  const known = useKnown<RegistryAnswer>('api/v1/registry', { everyMs: 2_000 });
  const registry = valueOf(known);
  if (registry === null) return <UnknownScreen title="Registry" what="The state of the registry" value={known} />;
  const status = roll.status.value;
  const asOf = knownAsOf(known);
  const verdict = verdictOf(registry, status, asOf);
  return (
    <>
      <Head
        verdict={verdict}
        sentence={
          <>
            Revision {countText(registry.revision)}, view hash{' '}
            <span class="mono">{registry.view.hash.slice(0, 6)}</span>.{' '}
            {registry.store.durable
              ? `The store, ${registry.store.name}, ${asOf === null ? 'outlives this' : 'was to outlive its'} process.`
              : `It ${asOf === null ? 'keeps' : 'kept'} everything in memory: after a restart services register again.`}
          </>
        }
      >
        <div class="actions">
          <button type="button" class="button" onClick={() => void saveBundle(api)}>
            Support bundle
          </button>
        </div>
      </Head>
      <Announcer text={verdict} />
      <div class="stack">
        <Replica registry={registry} asOf={asOf} />
        <div class="registry-columns">
          <div class="stack">
            <Options registry={registry} />
            <Connect />
          </div>
          <div class="stack">
            <Preservation preservation={registry.preservation} asOf={asOf} />
            <Panel
              title="Store"
              aside={
                staleSince === null ? (
                  <StateWord instance={{ state: status.degraded === undefined ? 'HEALTHY' : 'UNHEALTHY' }} />
                ) : (
                  `as of ${clockText(staleSince)}`
                )
              }
            >
              <Facts
                rows={[
                  ['Kind', registry.store.name],
                  ['Survives a restart', registry.store.durable ? 'yes' : 'no'],
                  ['Trouble', status.degraded ?? 'none'],
                ]}
              />
            </Panel>
            <Panel title="Watchers" count={registry.watchers} aside={asOfText(known)}>
              <Facts
                rows={[
                  ['Lines and watchers', countText(registry.watchers)],
                  ['Most allowed', countText(registry.limits.maxWatchers)],
                  ['Heartbeat-1 late, p99', latencyText(registry.calls.p99LateMs)],
                  ['Calls waiting', countText(registry.calls.waiting)],
                ]}
              />
            </Panel>
          </div>
        </div>
      </div>
    </>
  );
}

/** Data for remote support; the registry puts no secret into any of it. */
const BUNDLE = {
  registry: 'api/v1/registry',
  services: 'api/v1/services?namespace=*',
  topology: 'api/v1/topology?namespace=*',
  events: 'api/v1/events?namespace=*&limit=1000',
} as const;

async function saveBundle(api: Api): Promise<void> {
  const requests = Object.entries(BUNDLE).map(async ([name, path]) => {
    const answer: unknown = await api.get(path).catch((error: Error) => ({ error: error.message }));
    return [name, answer] as const;
  });
  const parts = Object.fromEntries(await Promise.all(requests));
  save('rollcall-support.json', JSON.stringify(parts, null, 2), 'application/json');
}

function verdictOf(
  registry: RegistryAnswer,
  status: { readonly settled: boolean; readonly degraded?: string },
  asOf: number | null,
): string {
  if (asOf !== null) return `The registry served at ${clockText(asOf)}. Its state since then is unknown.`;
  if (status.degraded !== undefined) return `The registry serves, but: ${status.degraded}`;
  if (!registry.settled) return 'The registry serves, and is not settled yet: instances are still reporting.';
  return 'The registry serves, and is sure of its view.';
}

interface ReplicaProps {
  readonly registry: RegistryAnswer;
  /** Null: the value is current. */
  readonly asOf: number | null;
}

function Replica({ registry, asOf }: ReplicaProps): VNode {
  const { clock } = useSession();
  const perSecond = Math.round((registry.instances * 10_000) / registry.heartbeat.intervalMs) / 10;
  return (
    <Panel title="Replicas" count={1} aside={asOf === null ? undefined : `as of ${clockText(asOf)}`} class="scroll">
      <table>
        <TableHead
          columns={[
            'Replica',
            'State',
            'Address@w6',
            'Access@w5',
            '>Instances@w5',
            '>Watchers@w9',
            '>Heartbeat-1@w10',
            '>Heartbeat-2@w10',
            '>Late, p99@w7',
            '>Revision@w9',
            'View@w9',
            '>Up@w4',
          ]}
        />
        <tbody>
          <tr>
            <td class="mono rest main">
              <Clip text={registry.replica} /> <span class="faint">this one</span>
            </td>
            <td>
              {asOf === null ? <StateWord instance={{ state: registry.settled ? 'HEALTHY' : 'REGISTERING' }} /> : '–'}
            </td>
            <td class="mono w6">{new URL(registryUrl()).host}</td>
            <td class="w5">{registry.insecure ? 'insecure' : registry.access}</td>
            <td class="right w5">{countText(registry.instances)}</td>
            <td class="right w9">{countText(registry.watchers)}</td>
            <td class="right w10">{perSecond}/s</td>
            <td class="right w10">{perSecond}/s</td>
            <td class="right nowrap w7">{latencyText(registry.calls.p99LateMs)}</td>
            <td class="right mono w9">{countText(registry.revision)}</td>
            <td class="mono faint w9">{registry.view.hash.slice(0, 6)}</td>
            <td class="right nowrap w4">{asOf === null ? ageText(clock.now.value - registry.startedAt) : '–'}</td>
          </tr>
        </tbody>
      </table>
    </Panel>
  );
}

/** The number of options that are shown at once. */
const COLLAPSED_OPTIONS = 9;

/** The sources of options: those that were set come first. */
const SOURCES = ['option', 'preset', 'default'];

function Options({ registry }: { readonly registry: RegistryAnswer }): VNode {
  const options = Object.entries(registry.options).toSorted(
    ([, a], [, b]) => SOURCES.indexOf(a.source) - SOURCES.indexOf(b.source),
  );
  const isOpen = useSignal(false);
  const shown = isOpen.value ? options : options.slice(0, COLLAPSED_OPTIONS);
  return (
    <Panel title="Effective options" aside="those that were set first" class="scroll">
      {options.length === 0 ? (
        <p class="panel-body faint">This registry does not report its options.</p>
      ) : (
        <table>
          <TableHead columns={['Option', 'Value', 'Source']} />
          <tbody>
            {shown.map(([name, { value, source }]) => (
              <tr key={name}>
                <td class="mono break">{name}</td>
                <td class="mono break">{valueText(value)}</td>
                <td class={source === 'default' ? 'faint' : ''}>{source}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {options.length > COLLAPSED_OPTIONS && (
        <p class="panel-foot">
          <button
            type="button"
            class="link"
            aria-expanded={isOpen.value}
            onClick={() => (isOpen.value = !isOpen.value)}
          >
            {isOpen.value ? 'fewer' : `all ${options.length}`}
          </button>
        </p>
      )}
    </Panel>
  );
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(valueText).join(', ');
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '–');
}

function Connect(): VNode {
  const url = registryUrl();
  return (
    <Panel title="Connect" aside="with the address of this registry">
      <div class="connect">
        <div>
          <p class="label">A service</p>
          <Code text={`ROLLCALL_URL=${url} \\\n  npm start`} what="the line that starts a service" />
        </div>
        <div>
          <p class="label">Watch from a terminal</p>
          <Code text={`npx rollcall watch \\\n  --url ${url}`} what="the line that watches" />
        </div>
      </div>
    </Panel>
  );
}
