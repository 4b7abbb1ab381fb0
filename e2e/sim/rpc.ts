import type { Timer } from '@rollcall/core';
import type { End, Network } from './network.js';
import type { Process } from './world.js';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The outcome of a request. */
export type Reply =
  | { readonly kind: 'answered'; readonly message: unknown; readonly ms: number }
  | { readonly kind: 'refused' | 'closed' | 'failed'; readonly text: string; readonly ms: number };

type WithoutMs<Outcome> = Outcome extends unknown ? Omit<Outcome, 'ms'> : never;

interface Asked {
  readonly message: unknown;
  readonly timeoutMs: number;
}

/** One request and its answer on a connection of its own, with what kernels and processes really do in between. */
export class Exchange {
  /** Never rejects, and is settled within `timeoutMs`. */
  readonly reply: Promise<Reply>;
  readonly #process: Process;
  readonly #at: string;
  readonly #startedAt: number;
  readonly #timer: Timer;
  readonly #cancelConnect: () => void;
  #settled: (reply: Reply) => void = () => {};
  #end: End | null = null;

  constructor(network: Network, process: Process, to: Address, { message, timeoutMs }: Asked) {
    this.#process = process;
    this.#at = `${to.host}:${to.port}`;
    this.#startedAt = process.now();
    this.reply = new Promise((resolve) => {
      this.#settled = resolve;
    });
    this.#timer = process.setTimer(timeoutMs, () => {
      const missing = this.#end === null ? 'no connection' : 'no answer';
      this.abort(`${missing} within ${timeoutMs} ms (${this.#at})`);
    });
    this.#cancelConnect = network.connect(process, to.host, to.port, {
      opened: (end) => this.#opened(end, message),
      failed: (isRefused, text) => this.#settle({ kind: isRefused ? 'refused' : 'failed', text }),
    });
  }

  /** Settles it as `failed`, unless it is settled. */
  abort(text: string): void {
    this.#settle({ kind: 'failed', text });
  }

  #opened(end: End, message: unknown): void {
    this.#end = end;
    end.onMessage = (answer) => this.#settle({ kind: 'answered', message: answer });
    end.onEnd = () => this.#settle({ kind: 'closed', text: `accepts and closes without an answer (${this.#at})` });
    end.send(message);
  }

  #settle(reply: WithoutMs<Reply>): void {
    this.#timer.cancel();
    this.#cancelConnect();
    this.#end?.close();
    this.#settled({ ...reply, ms: this.#process.now() - this.#startedAt });
  }
}

/** Answers every message on a connection with the result of `answer`; `null`: never. */
export function answerWith(answer: (message: unknown, end: End) => unknown): (end: End) => void {
  return (end) => {
    end.onMessage = (message) => {
      void (async () => {
        const reply = await answer(message, end);
        if (reply !== null) end.send(reply);
      })();
    };
  };
}
