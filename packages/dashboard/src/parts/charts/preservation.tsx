import type { VNode } from 'preact';
import type { RegistryAnswer } from '../../model/live/answers.js';
import { ageText, clockText, plural } from '../../model/text/age.js';
import { Panel } from '../panel.js';

interface PreservationProps {
  readonly preservation: RegistryAnswer['preservation'];
  /** Null: the value is current. */
  readonly asOf: number | null;
}

/** The maximum number of slots that are drawn. */
const MAX_SLOTS = 24;

/** Self-preservation as used and allowed slots, and as a sentence. */
export function Preservation({ preservation, asOf }: PreservationProps): VNode {
  const { used, allowed, peak } = preservation.registry;
  const isActive = preservation.active;
  const quiet = isActive ? `holds for ${ageText(preservation.sinceMs)}` : 'quiet';
  return (
    <Panel title="Self-preservation" aside={asOf === null ? quiet : `as of ${clockText(asOf)}`}>
      <div class="panel-body">
        {allowed <= MAX_SLOTS && (
          <div class="slots" aria-hidden="true">
            {Array.from({ length: allowed }, (_, at) => (
              <i key={at} class={at < used ? 'used' : ''} />
            ))}
          </div>
        )}
        <p class="soft small">
          {isActive
            ? sentenceOf(preservation.text)
            : `Silence may remove up to ${plural(allowed, 'instance')} in 10 minutes, 15 % of the ${peak} seen. ${used} used. Proof of death and goodbyes are not counted.`}
        </p>
      </div>
    </Panel>
  );
}

const sentenceOf = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
