import { useSignal } from '@preact/signals';
import type { VNode } from 'preact';
import { useSession } from '../model/live/session.js';
import { Code } from '../parts/copy.js';
import { Head } from '../parts/panel.js';

/** The registry requires a token, and the page has no valid one. */
export function Locked(): VNode {
  const { api, feed } = useSession();
  const typed = useSignal('');
  const hadOne = api.token !== null;
  const unlock = (event: Event): void => {
    event.preventDefault();
    api.unlock(typed.value);
    feed.retryNow();
  };
  return (
    <>
      <Head
        verdict="This registry asks for a token."
        sentence={
          hadOne
            ? 'The one that was given here is not, or no longer, valid.'
            : 'A reader sees everything; an operator may act, too.'
        }
      />
      <form class="panel unlock" onSubmit={unlock}>
        <label>
          Access token
          <input
            type="password"
            autocomplete="off"
            required
            value={typed.value}
            onInput={({ currentTarget }) => void (typed.value = currentTarget.value)}
          />
        </label>
        <button type="submit" class="button primary">
          Open
        </button>
        <p class="faint small">It stays in this tab until the tab is closed. Make one where the registry runs:</p>
        <Code text="npx rollcall token create --role reader --note dashboard" what="the command that makes a token" />
      </form>
    </>
  );
}
