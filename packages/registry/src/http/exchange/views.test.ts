import type { ServiceAnswer } from '@rollcall/core';
import { expect, it, vi } from 'vitest';
import type { Outcome } from '../../registry-api.js';
import type { AnswerText } from './response-coding.js';
import { Views } from './views.js';

const ALL = { namespace: 'default', name: 'orders', states: [], versions: [], zones: [] };

/** A registry of two instances, one of which has the revision `now.revision`. */
function setUp() {
  const now = { revision: 7, epoch: 'e' };
  const service = vi.fn(
    () =>
      ({
        ok: true,
        value: {
          ...now,
          settled: true,
          instances: [
            { id: 'a', state: 'HEALTHY', version: '1', zone: '', revision: 3 },
            { id: 'b', state: 'CRITICAL', version: '2', zone: '', revision: now.revision },
          ],
          removed: [],
        },
      }) as unknown as Outcome<ServiceAnswer>,
  );
  return { now, service, views: new Views({ service }) };
}

function textOf(outcome: Outcome<AnswerText>): string {
  if (!outcome.ok) throw new Error(outcome.problem.detail);
  return outcome.value.text;
}

it('reads a view once for all waiting clients, and again after any possible change', async () => {
  const { now, service, views } = setUp();
  for (let index = 0; index < 1_000; index += 1) views.newest('default', 'orders');
  expect(service).toHaveBeenCalledTimes(1);
  expect(views.newest('default', 'orders')).toEqual({ ok: true, value: { epoch: 'e', revision: 7, changed: 7 } });
  now.revision = 8;
  await Promise.resolve();
  expect(views.newest('default', 'orders')).toMatchObject({ value: { changed: 8 } });
});

it('returns the same text while nothing changes, one per filter', () => {
  const { now, views } = setUp();
  const first = textOf(views.text(ALL));
  expect(textOf(views.text(ALL))).toBe(first);
  expect(JSON.parse(first).instances).toHaveLength(2);
  expect(JSON.parse(textOf(views.text({ ...ALL, states: ['HEALTHY'] }))).instances).toMatchObject([{ id: 'a' }]);
  now.revision = 9;
  expect(JSON.parse(textOf(views.text(ALL)))).toMatchObject({ revision: 9, instances: [{ id: 'a' }, { revision: 9 }] });
  now.epoch = 'f';
  expect(JSON.parse(textOf(views.text(ALL)))).toMatchObject({ epoch: 'f' });
});

it('passes on the problem of a refusal', () => {
  const problem = { code: 'NOT_FOUND', detail: 'no', fix: 'no' } as const;
  const views = new Views({ service: () => ({ ok: false, problem }) });
  expect(views.text(ALL)).toEqual({ ok: false, problem });
  expect(views.newest('default', 'orders')).toEqual({ ok: false, problem });
});

it('forgets texts that were not requested for long', () => {
  const made = vi.fn(() => 'x'.repeat(3 * 1_048_576));
  const value = { epoch: 'e', revision: 1, settled: true, instances: [], removed: [] };
  Object.defineProperty(value, 'note', { get: made, enumerable: true });
  const views = new Views({ service: () => ({ ok: true, value: value as unknown as ServiceAnswer }) });
  const ask = (index: number) => views.text({ ...ALL, versions: [String(index)] });
  for (let index = 0; index < 12; index += 1) ask(index);
  expect(made).toHaveBeenCalledTimes(12);
  ask(11);
  expect(made).toHaveBeenCalledTimes(12);
  ask(0);
  expect(made).toHaveBeenCalledTimes(13);
});

it('forgets queries that are long themselves', () => {
  const { service, views } = setUp();
  const ask = (index: number) => textOf(views.text({ ...ALL, versions: [`${index}`.padEnd(15_000, 'x')] }));
  const first = ask(0);
  expect(ask(0)).toBe(first);
  for (let index = 1; index < 2_500; index += 1) ask(index);
  service.mockImplementation(
    () => ({ ok: true, value: { instances: [], removed: [], revision: 7, epoch: 'e', settled: true } }) as never,
  );
  // made again
  expect(ask(0)).not.toBe(first);
});
