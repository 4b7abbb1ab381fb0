import type { VNode } from 'preact';
import type { Lane, Picture } from '../../model/view/picture.js';

interface EndProps {
  readonly name: string;
  /** The lines below the name, in monospace. */
  readonly lines: readonly string[];
  /** At its door. */
  readonly door: string;
}

interface PictureProps {
  readonly picture: Picture;
  readonly registry: EndProps;
  readonly service: EndProps;
  /** Small, as in the table of all cases. */
  readonly isSmall?: boolean;
  /** Changes with each heartbeat that arrived: its dot moves once. */
  readonly beats?: { readonly heartbeat1: number; readonly heartbeat2: number };
}

/**
 * Registry left, service right, always. Heartbeat-1 on top, pointing right; Heartbeat-2 below, pointing left. The
 * caller is a dot, the callee a door, and a break is drawn where it happens.
 */
export function HeartbeatPicture({ picture, registry, service, isSmall = false, beats }: PictureProps): VNode {
  const { heartbeat1, heartbeat2, line, isGone } = picture;
  return (
    <div class={isSmall ? 'picture small' : 'picture'}>
      <p class="picture-heading">
        <strong>{picture.heading}</strong>
        {!isSmall && <span class="faint small">{picture.hint}</span>}
      </p>
      <End class="registry" {...registry} doorClass={doorClass(heartbeat2)} dotTone={heartbeat1.tone} />
      <div class="lanes">
        <LaneView
          lane={heartbeat1}
          title="Heartbeat-1"
          caller="the registry calls"
          direction="out"
          beat={beats?.heartbeat1}
        />
        <p class={`line ${line.kind}`}>
          <span>{line.text}</span>
        </p>
        <LaneView
          lane={heartbeat2}
          title="Heartbeat-2"
          caller="the service calls"
          direction="in"
          beat={beats?.heartbeat2}
        />
      </div>
      <End
        class={isGone ? 'service gone' : 'service'}
        {...service}
        doorClass={doorClass(heartbeat1)}
        dotTone={heartbeat2.wire === 'ended' ? 'none' : heartbeat2.tone}
      />
    </div>
  );
}

function doorClass({ wire, tone }: Lane): string {
  if (wire === 'refused') return `door shut ${tone}`;
  return wire === 'flows' ? 'door open' : 'door';
}

interface EndViewProps extends EndProps {
  readonly class: string;
  readonly doorClass: string;
  readonly dotTone: string;
}

function End({ name, lines, door, doorClass: doorClassName, dotTone, ...rest }: EndViewProps): VNode {
  return (
    <div class={`end ${rest.class}`}>
      <b title={name}>{name}</b>
      {lines.map((text) => (
        <span key={text} class="mono" title={text}>
          {text}
        </span>
      ))}
      <i class={`dot ${dotTone}`} />
      <i class={doorClassName}>{door !== '' && <em>{door}</em>}</i>
    </div>
  );
}

interface LaneProps {
  readonly lane: Lane;
  readonly title: string;
  readonly caller: string;
  readonly direction: 'out' | 'in';
  readonly beat: number | undefined;
}

function LaneView({ lane, title, caller, direction, beat }: LaneProps): VNode {
  return (
    <div class={`lane ${direction} ${lane.tone} ${lane.wire}`}>
      <p class="lane-title">
        <b>{title}</b> <span class="faint">{caller}</span>
        <span class="lane-status">{lane.status}</span>
      </p>
      <div class="wire" aria-hidden="true">
        <i class="wire-line" />
        {lane.wire === 'flows' && beat !== undefined && <i key={beat} class="beat" />}
        <WireEnd wire={lane.wire} direction={direction} />
      </div>
      <p class="lane-evidence">
        <span class={lane.isError ? 'mono' : ''} title={lane.evidence}>
          {lane.evidence}
        </span>
        <span class="faint">{lane.aside}</span>
      </p>
    </div>
  );
}

/** An arrow if it arrives, a cross if it is refused, nothing if it fades. */
function WireEnd({ wire, direction }: Pick<Lane, 'wire'> & Pick<LaneProps, 'direction'>): VNode | null {
  if (wire === 'fades' || wire === 'ended') return null;
  if (wire === 'refused') {
    return (
      <svg viewBox="0 0 16 14">
        <path d="M3 2l10 10M13 2 3 12" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" />
      </svg>
    );
  }
  return (
    <svg viewBox="0 0 16 14">
      <path d={direction === 'out' ? 'M3 1.5 14 7 3 12.5z' : 'M13 1.5 2 7l11 5.5z'} fill="currentColor" />
    </svg>
  );
}
