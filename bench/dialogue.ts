import type { Child } from './child.js';

/** The questions that a program of the benchmark answers: each answer is JSON. */
export type Answers = Readonly<Record<string, (data: never) => Promise<unknown>>>;

interface Question {
  readonly question: string;
  readonly data: unknown;
}

type Reply = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: string };

/** In the program: answers its parent, one question after another, and ends with it. */
export function answerQuestions(answers: Answers): void {
  process.on('disconnect', () => process.exit());
  process.on('message', (message) => {
    const { question, data } = message as Question;
    const answer = answers[question];
    const result = answer === undefined ? Promise.reject(new Error(`no question ${question}`)) : answer(data as never);
    result.then(
      (value) => process.send?.({ ok: true, value } satisfies Reply),
      (error: unknown) => process.send?.({ ok: false, error: String(error) } satisfies Reply),
    );
  });
}

/** Sends a question to a program, one at a time. Rejects when it cannot answer, or ends. */
export async function ask<Value>(child: Child, question: string, data: unknown = null): Promise<Value> {
  const reply = await new Promise<Reply>((resolve, reject) => {
    const onExit = (): void => reject(new Error(`it ended before it answered "${question}"`));
    child.process.once('exit', onExit);
    child.process.once('message', (message) => {
      child.process.off('exit', onExit);
      resolve(message as Reply);
    });
    child.process.send({ question, data } satisfies Question);
  });
  if (reply.ok) return reply.value as Value;
  throw new Error(`"${question}": ${reply.error}`);
}
