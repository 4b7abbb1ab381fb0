import type { End, Network } from './network.js';
import type { Process } from './world.js';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** What became of one question. */
export type Reply =
  | { readonly kind: 'answered'; readonly message: unknown; readonly ms: number }
  | { readonly kind: 'refused' | 'closed' | 'failed'; readonly text: string; readonly ms: number };

/** One question and its answer on a connection of its own. The promise never rejects, and is settled within `timeoutMs`. */
export interface Asking {
  readonly reply: Promise<Reply>;
  /** Settles it as `failed`, if it is not. */
  abort(why: string): void;
}

/** Asks with what kernel and process really do in between: both may take their time, or die. */
export function ask(network: Network, process: Process, to: Address, asked: { message: unknown; timeoutMs: number }): Asking {
  const startedAt = process.now();
  const at = `${to.host}:${to.port}`;
  let abort: Asking['abort'] = () => {};
  const reply = new Promise<Reply>((resolve) => {
    let end: End | null = null;
    const settle = (result: { kind: 'answered'; message: unknown } | { kind: 'refused' | 'closed' | 'failed'; text: string }): void => {
      timer.cancel();
      giveUp();
      end?.close();
      resolve({ ...result, ms: process.now() - startedAt });
    };
    abort = (text) => settle({ kind: 'failed', text });
    const timer = process.setTimer(asked.timeoutMs, () =>
      abort(`${end === null ? 'no connection' : 'no answer'} within ${asked.timeoutMs} ms (${at})`),
    );
    const giveUp = network.connect(process, to.host, to.port, {
      opened(opened) {
        end = opened;
        opened.onMessage = (message) => settle({ kind: 'answered', message });
        opened.onEnd = () => settle({ kind: 'closed', text: `accepts and closes without an answer (${at})` });
        opened.send(asked.message);
      },
      failed: (isRefused, text) => settle({ kind: isRefused ? 'refused' : 'failed', text }),
    });
  });
  return { reply, abort: (why) => abort(why) };
}

/** Answers every message on a connection with what `answer` says; `null`: never. */
export function answering(answer: (message: unknown, end: End) => unknown): (end: End) => void {
  return (end) => {
    end.onMessage = (message) => {
      void (async () => {
        const said = await answer(message, end);
        if (said !== null) end.send(said);
      })();
    };
  };
}
