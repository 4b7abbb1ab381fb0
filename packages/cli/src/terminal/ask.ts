/** A question to the person at the terminal. */
import { createInterface } from 'node:readline';

interface Streams {
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly output: NodeJS.WritableStream & { readonly isTTY?: boolean };
}

/**
 * Asks on the terminal, and resolves with the line that was typed: empty for Ctrl-C and Ctrl-D. Null: one of both is
 * not a terminal.
 */
export function askOn({ input, output }: Streams): ((question: string) => Promise<string>) | null {
  if (input.isTTY !== true || output.isTTY !== true) return null;
  return (question) =>
    new Promise((resolve) => {
      const lines = createInterface({ input, output });
      lines.once('close', () => resolve(''));
      lines.question(question, (answer) => {
        resolve(answer);
        lines.close();
      });
    });
}
