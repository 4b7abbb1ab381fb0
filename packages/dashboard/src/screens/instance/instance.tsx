import { isCallable, termsOf } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { useMemo } from 'preact/hooks';
import type { VNode } from 'preact';
import type {
  BeatsAnswer,
  InstanceAnswer,
  RegistryAnswer,
  TimelineAnswer,
  TopologyAnswer,
} from '../../model/live/answers.js';
import { Refusal, registryUrl } from '../../model/live/api.js';
import { knownAsOf, mapKnown, knownOf, missingText, valueOf } from '../../model/live/known.js';
import type { Known } from '../../model/live/known.js';
import { useAnswer, useKnown, useSession, useStaleSince } from '../../model/live/session.js';
import { ageText, clockText, countText } from '../../model/text/age.js';
import { awayText, keptAwayText } from '../../model/text/callable-text.js';
import { momentText } from '../../model/text/moment.js';
import { evidenceOf, nextText, tailOf, reasonText } from '../../model/text/instance-text.js';
import { endpointTexts, oldPictureOf, pictureOf } from '../../model/view/picture.js';
import { hashOf, serviceHash } from '../../model/view/route.js';
import { Announcer } from '../../parts/announcer.js';
import { Beats } from '../../parts/charts/beats.js';
import { eventText } from '../../parts/charts/event-lines.js';
import { HeartbeatPicture } from '../../parts/charts/picture.js';
import { CopyLink } from '../../parts/copy.js';
import { StateWord } from '../../parts/glyph.js';
import { InNamespace } from '../../parts/namespace.js';
import { Facts, Head, Panel } from '../../parts/panel.js';
import { Unknown } from '../../parts/unknown.js';
import { Actions } from './actions.js';
import { InstanceCallers } from './instance-callers.js';
import { LastHour } from './last-hour.js';

/**
 * One instance: its state as a sentence, the two heartbeats as a picture, its last hour, and the view of its callers.
 */
export function InstanceScreen({ id }: { readonly id: string }): VNode {
  const { roll } = useSession();
  const path = `api/v1/instances/${encodeURIComponent(id)}`;
  const answer = useAnswer<InstanceAnswer>(path, { everyMs: 1_000, onChange: true }).value;
  const timeline = useKnown<TimelineAnswer>(`${path}/timeline`, { everyMs: 15_000, onChange: true });
  const staleSince = useStaleSince();
  // the feed is ahead of the answer
  const home = roll.services.value.length > 0 ? roll.serviceOf(id) : undefined;
  const record = home?.instances.value.get(id);
  const detail = answer.value;
  const instance = newest(record, detail);
  const crumbs = (
    <>
      <a href={hashOf('services')}>Services</a> /{' '}
      {instance !== null && (
        <a href={serviceHash(instance.namespace, instance.service)}>
          <InNamespace namespace={instance.namespace} />
          {instance.service}
        </a>
      )}{' '}
      / <span class="mono">{id}</span> <CopyLink text={id} what="the id" />
    </>
  );
  if (record === undefined && isRefused(answer.error))
    return <Gone id={id} crumbs={crumbs} timeline={timeline} staleSince={staleSince} />;
  const known = knownOf(answer, staleSince);
  if (instance === null) return <Head crumbs={crumbs} verdict={`…${tailOf(id)}`} sentence={missingText(known)} />;
  const isCurrent = knownAsOf(known) === null;
  return (
    <>
      <StateHead instance={instance} detail={detail} crumbs={crumbs} />
      <div class="stack">
        <PicturePanel {...{ instance, detail, isCurrent: isCurrent, path }} />
        <div class="three-columns">
          <LastHour id={id} namespace={instance.namespace} timeline={timeline} />
          <Callers instance={instance} />
          <FactsPanel {...{ instance, detail, isCurrent: isCurrent }} />
        </div>
      </div>
    </>
  );
}

/** True if the registry answers that it does not know the instance: any other error leaves that open. */
const isRefused = (error: Error | null): boolean =>
  error instanceof Refusal && (error.status === 404 || error.status === 410);

function newest(record: Instance | undefined, detail: InstanceAnswer | null): Instance | null {
  if (record === undefined || detail === null) return record ?? detail;
  return record.revision >= detail.revision ? record : detail;
}

interface StateHeadProps {
  readonly instance: Instance;
  readonly detail: InstanceAnswer | null;
  readonly crumbs: VNode;
}

function StateHead({ instance, detail, crumbs }: StateHeadProps): VNode {
  const { clock } = useSession();
  const staleSince = useStaleSince();
  const now = clock.now.value;
  const next = nextText(instance, staleSince === null ? now : null, staleSince ?? now);
  const name = `${instance.service}…${tailOf(instance.id)}`;
  const evidence = evidenceOf(instance);
  const isOld = staleSince !== null;
  const admin = instance.admin === 'ENABLED' ? '' : `${instance.admin}, `;
  const away =
    keptAwayText({ instance, detail, now, isOld }) || awayText(instance, isOld) || weightlessText(instance, isOld);
  const standing = `${name} ${isOld ? 'was' : 'is'} ${admin}${instance.state}`;
  const since = staleSince === null ? `For ${ageText(now - instance.since)}.` : `Since ${clockText(instance.since)}.`;
  const sentence = (
    <>
      {away !== '' && <b>{away} </b>}
      {reasonText(instance, staleSince !== null)} {evidence !== '' && <span class="mono">{evidence}</span>} {since}{' '}
      {next.what !== '' && (
        <>
          <b>{next.what}</b> {next.unless}
          {next.unless === '' ? '' : '.'}
        </>
      )}
    </>
  );
  return (
    <>
      <Head
        crumbs={crumbs}
        title={standing}
        verdict={
          <span class="verdict-state">
            {name} {instance.admin !== 'ENABLED' && <b>{instance.admin} </b>}
            <StateWord instance={instance} />
          </span>
        }
        sentence={sentence}
      >
        <Actions instance={instance} detail={detail} />
      </Head>
      <Announcer text={`${standing}. ${awayText(instance, isOld)} ${reasonText(instance, isOld)}`} />
    </>
  );
}

interface PicturePanelProps {
  readonly instance: Instance;
  readonly detail: InstanceAnswer | null;
  /** True if the detail is current: the age of a heartbeat is known for the present only. */
  readonly isCurrent: boolean;
  readonly path: string;
}

function PicturePanel({ instance, detail, isCurrent, path }: PicturePanelProps): VNode {
  const beats = useKnown<BeatsAnswer>(`${path}/beats`, { everyMs: 2_500 });
  const staleSince = useStaleSince();
  const heartbeats = (isCurrent ? detail?.heartbeats : null) ?? null;
  const [endpoint] = instance.endpoints;
  const { port } = new URL(registryUrl());
  // the times of the last heartbeats, once per answer: a new value moves a dot
  const arrivedAt = useMemo(() => {
    const at = (agoMs: number | null | undefined): number =>
      agoMs == null ? 0 : Math.round((Date.now() - agoMs) / 1_000);
    return {
      heartbeat1: at(heartbeats?.heartbeat1.lastSuccessAgoMs),
      heartbeat2: at(heartbeats?.heartbeat2.lastSuccessAgoMs),
    };
  }, [heartbeats]);
  const pid = instance.metadata['pid'] === undefined ? '' : `pid ${instance.metadata['pid']}`;
  const lines = [instance.version, pid, instance.zone].filter((text) => text !== '');
  const registry = useAnswer<RegistryAnswer>('api/v1/registry', { everyMs: 30_000 }).value.value;
  return (
    <section class="panel">
      <HeartbeatPicture
        picture={staleSince === null ? pictureOf(instance, heartbeats) : oldPictureOf(instance)}
        registry={{
          name: 'Registry',
          lines: registry === null ? [] : [registry.replica],
          door: port === '' ? '' : `:${port}`,
        }}
        service={{
          name: `${instance.service}…${tailOf(instance.id)}`,
          lines,
          door: endpoint === undefined ? '' : `${endpoint.protocol} :${endpoint.port}`,
        }}
        beats={arrivedAt}
      />
      {beats.kind === 'known' ? (
        <Beats answer={beats.value} {...(beats.asOf === null ? {} : { end: clockText(beats.asOf) })} />
      ) : (
        <Unknown value={beats} />
      )}
    </section>
  );
}

function Callers({ instance }: { readonly instance: Instance }): VNode {
  const query = new URLSearchParams({ namespace: instance.namespace, service: instance.service });
  const topology = useKnown<TopologyAnswer>(`api/v1/topology?${query.toString()}`);
  const edges = mapKnown(topology, (answer) => answer.edges.filter(({ to }) => to === instance.service));
  return <InstanceCallers id={instance.id} edges={edges} />;
}

/** The use by callers, by their default tiers. */
const EFFECTS: Readonly<Record<Instance['state'], string>> = {
  HEALTHY: 'gets calls',
  REGISTERING: 'gets calls only if no instance is HEALTHY',
  UNHEALTHY: 'gets calls only if there is no better instance',
  CRITICAL: 'gets no calls',
  DEREGISTERING: 'gets no calls',
};

/** Callable, and yet called by few or none; empty: it is not so. */
const weightlessText = (instance: Instance, isOld: boolean): string =>
  instance.weight === 0 && isCallable(instance)
    ? `Its weight ${isOld ? 'was' : 'is'} 0: it ${isOld ? 'got' : 'gets'} calls only where every instance as good has weight 0, too.`
    : '';

/** An instance of weight 0 gets calls only if none of its tier has a weight. */
const effectText = ({ state, weight }: Instance): string =>
  weight === 0 && state !== 'CRITICAL' && state !== 'DEREGISTERING'
    ? 'gets calls only where every instance as good has weight 0, too'
    : EFFECTS[state];

function FactsPanel({ instance, detail, isCurrent }: Omit<PicturePanelProps, 'path'>): VNode {
  const { clock } = useSession();
  const { admin, state, weight } = instance;
  const override = detail?.override ?? null;
  const staleSince = useStaleSince();
  const terms = override === null ? null : termsOf(override, admin === 'ENABLED' ? 'weight' : 'admin');
  const effective = admin === 'ENABLED' ? effectText(instance) : 'gets no calls';
  const age = staleSince === null ? `, ${ageText(clock.now.value - instance.registeredAt)} ago` : '';
  const own = detail?.own.weight ?? weight;
  const metadata = Object.entries(instance.metadata).map(([key, value]) => [key, mono(value)] as const);
  return (
    <Panel title="Facts" aside={`revision ${countText(instance.revision)}`}>
      <Facts
        rows={[
          ['Reported', state],
          ['Effective', staleSince === null ? effective : effective.replace('gets', 'got').replace(' is ', ' was ')],
          ['Admin', admin],
          ...(terms === null || terms.reason === '' ? [] : [['Operator’s reason', terms.reason] as const]),
          ...(terms?.untilMs == null ? [] : [['Until', momentText(terms.untilMs, Date.now())] as const]),
          ...endpointTexts(instance).map(
            (text, at) => [at === 0 ? 'Endpoint' : `Endpoint ${at + 1}`, mono(text)] as const,
          ),
          ['Weight', own === weight ? String(weight) : `${weight}, its own is ${own}`],
          ['Version', instance.version === '' ? '–' : mono(instance.version)],
          ['Zone', instance.zone === '' ? '–' : instance.zone],
          ['Registered', `${momentText(instance.registeredAt, Date.now())}${age}`],
          ['Falls', detail === null || !isCurrent ? '–' : `${Math.round(detail.falls)} in the last 10 min`],
          ['Source', instance.source],
          ...metadata,
        ]}
      />
    </Panel>
  );
}

const mono = (text: string): VNode => <span class="mono">{text}</span>;

interface GoneProps {
  readonly id: string;
  readonly crumbs: VNode;
  readonly timeline: Known<TimelineAnswer>;
  readonly staleSince: number | null;
}

/** The instance was removed, or never existed: only its history is left. */
function Gone({ id, crumbs, timeline, staleSince }: GoneProps): VNode {
  const last = valueOf(timeline)?.events.at(-1);
  return (
    <>
      <Head
        crumbs={crumbs}
        verdict={`…${tailOf(id)} ${staleSince === null ? 'is' : 'was'} not registered.`}
        sentence={
          last === undefined
            ? `The registry ${staleSince === null ? 'knows' : 'knew'} nothing of this id.`
            : `The last that is known: ${eventText(last)}, at ${momentText(last.at, Date.now())}.`
        }
      />
      {last !== undefined && <LastHour id={id} namespace={last.namespace} timeline={timeline} />}
    </>
  );
}
