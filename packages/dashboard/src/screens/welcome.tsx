import type { VNode } from 'preact';
import type { RegistryAnswer } from '../model/live/answers.js';
import { registryUrl } from '../model/live/api.js';
import { useSession } from '../model/live/session.js';
import { ageText } from '../model/text/age.js';
import type { Picture } from '../model/view/picture.js';
import { HeartbeatPicture } from '../parts/charts/picture.js';
import { Code } from '../parts/copy.js';
import { Glyph } from '../parts/glyph.js';
import { Head } from '../parts/panel.js';

const WAITING: Picture = {
  heading: 'Waiting for the first registration.',
  hint: '',
  heartbeat1: {
    wire: 'waits',
    tone: 'registering',
    status: 'starts at registration',
    evidence: 'the registry calls your service on its own port',
    isError: false,
    aside: '',
  },
  heartbeat2: {
    wire: 'waits',
    tone: 'registering',
    status: 'starts at registration',
    evidence: 'your service calls the registry on its own timer',
    isError: false,
    aside: '',
  },
  line: { text: 'HEALTHY needs both', kind: 'plain' },
  isGone: false,
};

/** No service has ever registered: the steps to start the first one. */
export function Welcome({ registry }: { readonly registry: RegistryAnswer | null }): VNode {
  const { clock } = useSession();
  const url = registryUrl();
  const { port, protocol } = window.location;
  const door = `:${port === '' ? (protocol === 'https:' ? '443' : '80') : port}`;
  const upMs = registry === null ? null : clock.now.value - registry.startedAt;
  return (
    <div class="welcome">
      <Head
        verdict="No service has registered yet."
        sentence={
          <>
            The registry is up at <span class="mono">{url}</span>. Three lines bring in the first service.
          </>
        }
      />
      <section class="panel waiting">
        <p class="waiting-for">
          <Glyph shape={{ state: 'REGISTERING' }} />
          <span class="faint small">up for {ageText(upMs)}, this page changes by itself</span>
        </p>
        <HeartbeatPicture
          picture={WAITING}
          registry={{ name: 'Registry', lines: registry === null ? [] : [registry.replica.slice(0, 8)], door }}
          service={{ name: 'Your service', lines: ['any port'], door: '' }}
        />
      </section>
      <ol class="steps">
        <li>
          <h2>Install</h2>
          <Code text="npm i @rollcall/nestjs" what="the command that installs it" />
        </li>
        <li>
          <h2>Name the service in its module</h2>
          <Code text="@Module({ imports: [RollcallModule.forRoot({ service: 'orders' })] })" what="the module’s line" />
        </li>
        <li>
          <h2>Start it with this registry</h2>
          <Code text={`ROLLCALL_URL=${url} npm start`} what="the command that starts it" />
        </li>
      </ol>
      <p class="soft small">
        It started and does not appear? <span class="mono">npx rollcall doctor</span> finds out why, from both ends.
      </p>
    </div>
  );
}
