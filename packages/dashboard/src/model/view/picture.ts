/** The content of the heartbeat picture, apart from how it is drawn. */
import { addressOf } from '@rollcall/core';
import type { DirectionAnswer, HeartbeatsAnswer, Instance } from '@rollcall/core';
import { ageText, latencyText } from '../text/age.js';
import { directionsOf, evidenceOf } from '../text/instance-text.js';

/**
 * The drawing of a wire. `flows`: whole, with a dot for each beat; `refused`: a cross at a shut door; `fades`: it ends
 * before it arrives; `waits`: dotted; `ended`: not drawn.
 */
export type Wire = 'flows' | 'refused' | 'fades' | 'waits' | 'ended';
export type Tone = 'healthy' | 'unhealthy' | 'critical' | 'registering';

export interface Lane {
  readonly wire: Wire;
  readonly tone: Tone;
  /** At the right, in bold: `refused, 2 in a row`. */
  readonly status: string;
  /** The text below the wire; `isError`: verbatim. */
  readonly evidence: string;
  readonly isError: boolean;
  readonly aside: string;
}

export interface Picture {
  /** The picture in a sentence. */
  readonly heading: string;
  /** Advice on the cause; empty: none. */
  readonly hint: string;
  readonly heartbeat1: Lane;
  readonly heartbeat2: Lane;
  readonly line: { readonly text: string; readonly kind: 'plain' | 'closed' };
  readonly isGone: boolean;
}

/** `heartbeats` null: not received yet, so only the state counts. */
export function pictureOf(instance: Instance, heartbeats: HeartbeatsAnswer | null): Picture {
  const { state, reason } = instance;
  const isDead = reason.code === 'PROOF_OF_DEATH';
  return {
    heading: headingOf(instance),
    hint: HINTS[reason.code] ?? '',
    heartbeat1: inboundLane(instance, heartbeats?.heartbeat1 ?? null),
    heartbeat2: outboundLane(instance, heartbeats?.heartbeat2 ?? null),
    line: isDead
      ? { text: 'line closed by the peer', kind: 'closed' }
      : {
          text: state === 'DEREGISTERING' ? 'leaving, no new calls' : (LINES[reason.code] ?? 'line open'),
          kind: 'plain',
        },
    isGone: isDead,
  };
}

/** The picture of an old view: the details of heartbeats are known for the present only. */
export function oldPictureOf(instance: Instance): Picture {
  const { heading, heartbeat1, heartbeat2, line, isGone } = pictureOf(instance, null);
  const past = (lane: Lane): Lane => ({
    ...lane,
    status: toPast(lane.status),
    evidence: toPast(lane.evidence),
    aside: '',
  });
  return {
    heading: toPast(heading),
    hint: '',
    heartbeat1: past(heartbeat1),
    heartbeat2: past(heartbeat2),
    line: { ...line, text: toPast(line.text) },
    isGone,
  };
}

const toPast = (text: string): string => PAST[text] ?? text;

const PAST: Readonly<Partial<Record<string, string>>> = {
  'We reach it, and it reaches us.': 'We reached it, and it reached us.',
  'It said goodbye. What is in flight finishes.': 'It had said goodbye.',
  'No process is there: proof of death.': 'No process was there: proof of death.',
  'Two processes share its address.': 'Two processes shared its address.',
  'Another process answers at its address.': 'Another process answered at its address.',
  'It reaches us, but we cannot reach it.': 'It reached us, but we could not reach it.',
  'We reach it, but it does not call.': 'We reached it, but it did not call.',
  'Neither reaches the other.': 'Neither reached the other.',
  'another id answers': 'another id answered',
  answers: 'answered',
  'answers with its own id': 'answered with its own id',
  'the registry calls at once': 'the registry was to call at once',
  arrives: 'arrived',
  'quotes the last call': 'quoted the last call',
  'expected at once': 'was expected at once',
  'line open': 'the line was open',
  'its line is open, so this is no proof of death': 'its line was open, so this was no proof of death',
  'line silent': 'the line was silent',
  'line closed by the peer': 'the line had been closed by the peer',
  'leaving, no new calls': 'it was leaving',
};

function headingOf({ state, reason }: Instance): string {
  if (state === 'HEALTHY') return 'We reach it, and it reaches us.';
  if (reason.code === 'LEAVING') return 'It said goodbye. What is in flight finishes.';
  if (reason.code === 'PROOF_OF_DEATH') return 'No process is there: proof of death.';
  if (reason.code === 'ADDRESS_SHARED') return 'Two processes share its address.';
  if (reason.code === 'ADDRESS_TAKEN') return 'Another process answers at its address.';
  if (state === 'REGISTERING') return 'Not yet proved both ways.';
  const { heartbeat1, heartbeat2 } = directionsOf({ state, reason });
  if (heartbeat1 === false && heartbeat2 === true) return 'It reaches us, but we cannot reach it.';
  if (heartbeat1 === true && heartbeat2 === false) return 'We reach it, but it does not call.';
  return heartbeat1 === false ? 'Neither reaches the other.' : 'Not yet proved both ways.';
}

const HINTS: Readonly<Partial<Record<string, string>>> = {
  INBOUND_REFUSED: 'Usual causes: a closed listener, a firewall that rejects, a changed port mapping',
  INBOUND_SILENT: 'Usual causes: a firewall that drops, a blocked event loop, a wrong network',
  OUTBOUND_SILENT: 'Usual causes: no way out to the registry, a blocked event loop, a proxy in between',
  SILENT: 'Usual causes: a frozen process, a lost machine, a cut network',
  ADDRESS_SHARED: 'Each process needs a port of its own',
};

const LINES: Readonly<Partial<Record<string, string>>> = {
  INBOUND_REFUSED: 'its line is open, so this is no proof of death',
  SILENT: 'line silent',
};

function inboundLane(instance: Instance, facts: DirectionAnswer | null): Lane {
  const { state, reason } = instance;
  const works = worksOf(facts, directionsOf(instance).heartbeat1, state);
  const lastText = agoText('last answered', facts);
  if (reason.code === 'ADDRESS_SHARED' || reason.code === 'ADDRESS_TAKEN') {
    return {
      wire: 'refused',
      tone: 'unhealthy',
      status: 'another id answers',
      evidence: evidenceOf(instance),
      isError: true,
      aside: lastText,
    };
  }
  if (works === true) {
    const status = facts?.roundTripMs == null ? 'answers' : latencyText(facts.roundTripMs);
    return {
      wire: 'flows',
      tone: 'healthy',
      status,
      evidence: 'answers with its own id',
      isError: false,
      aside: lastText,
    };
  }
  if (works === null || (state === 'REGISTERING' && facts?.error == null)) {
    return {
      wire: 'waits',
      tone: 'registering',
      status: 'not yet',
      evidence: 'the registry calls at once',
      isError: false,
      aside: '',
    };
  }
  const error = facts?.error ?? evidenceOf(instance);
  const refused = isRefused(instance, error);
  const tone = toneOf(state);
  const missed = facts === null ? '' : `, ${facts.misses} in a row`;
  return refused
    ? { wire: 'refused', tone, status: `refused${missed}`, evidence: error, isError: true, aside: lastText }
    : {
        wire: 'fades',
        tone,
        status: `no answer${missed}`,
        evidence: error === '' ? 'no answer came in time' : error,
        isError: error !== '',
        aside: lastText,
      };
}

function outboundLane(instance: Instance, facts: DirectionAnswer | null): Lane {
  const { state, reason } = instance;
  const works = worksOf(facts, directionsOf(instance).heartbeat2, state);
  const lastText = agoText('last one', facts);
  if (reason.code === 'PROOF_OF_DEATH') {
    return { wire: 'ended', tone: 'critical', status: 'ended', evidence: lastText, isError: false, aside: '' };
  }
  if (works === true) {
    return {
      wire: 'flows',
      tone: 'healthy',
      status: 'arrives',
      evidence: 'quotes the last call',
      isError: false,
      aside: lastText,
    };
  }
  if (works === null || (state === 'REGISTERING' && facts?.lastSuccessAgoMs == null)) {
    return {
      wire: 'waits',
      tone: 'registering',
      status: 'not yet',
      evidence: 'expected at once',
      isError: false,
      aside: '',
    };
  }
  const silentMs = facts?.lastSuccessAgoMs ?? null;
  return {
    wire: 'fades',
    tone: toneOf(state),
    status: silentMs === null ? 'silent' : `silent ${ageText(silentMs)}`,
    evidence: facts === null ? 'no call came' : `${facts.misses} missed`,
    isError: false,
    aside: lastText,
  };
}

/**
 * Whether a direction works: by its last answers, else by the state; null: unknown. One miss of a HEALTHY instance does
 * not count: the registry waits for the second one, too.
 */
export function worksOf(
  facts: DirectionAnswer | null,
  byState: boolean | null,
  state: Instance['state'],
): boolean | null {
  if (facts === null) return byState;
  if (facts.misses > (state === 'HEALTHY' ? 1 : 0)) return false;
  if (facts.error !== null && state !== 'HEALTHY') return false;
  return facts.lastSuccessAgoMs === null ? null : true;
}

const toneOf = (state: Instance['state']): Tone =>
  state === 'CRITICAL' || state === 'DEREGISTERING' ? 'critical' : 'unhealthy';

function agoText(verb: string, facts: DirectionAnswer | null): string {
  return facts?.lastSuccessAgoMs == null ? '' : `${verb} ${ageText(facts.lastSuccessAgoMs)} ago`;
}

/** True if the connection is refused, false if there is no answer. */
export function isRefused({ reason }: Pick<Instance, 'reason'>, error: string | null): boolean {
  return reason.code === 'INBOUND_REFUSED' || /REFUSED|RESET|UNREACH|ENOTFOUND|another/i.test(error ?? '');
}

/** The address of each protocol: `tcp 10.0.3.21:3001`. */
export function endpointTexts({ endpoints }: Pick<Instance, 'endpoints'>): string[] {
  return endpoints.map((endpoint) => `${endpoint.protocol}${endpoint.tls ? '+tls' : ''} ${addressOf(endpoint)}`);
}
