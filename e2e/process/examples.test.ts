import type { Instance } from '@rollcall/core';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { variants } from '../variants.js';
import { startRegistry, urlOf } from './plain-requests.js';
import { isFailed, load } from './load.js';
import { endAll, start } from './spawn.js';
import type { Child, PROGRAMS } from './spawn.js';
import { timed } from './stage.js';
import { waitFor } from './wait-for.js';

interface Example {
  readonly name: string;
  readonly program: keyof typeof PROGRAMS;
  readonly args: readonly string[];
  readonly caller: keyof typeof PROGRAMS;
  readonly service: string;
  /** The protocols that it registers, in alphabetical order. */
  readonly protocols: readonly string[];
  /** The paths of its caller. */
  readonly paths: readonly string[];
  /** Those of the paths whose calls are repeated until they are answered. */
  readonly safe: readonly string[];
}

const EXAMPLES: readonly Example[] = [
  {
    name: 'tcp',
    program: 'tcp',
    args: [],
    caller: 'tcp caller',
    service: 'orders',
    protocols: ['tcp'],
    paths: ['/orders/7'],
    safe: ['/orders/7'],
  },
  {
    name: 'http-express',
    program: 'http',
    args: [],
    caller: 'http caller',
    service: 'users',
    protocols: ['http'],
    paths: ['/buyers/7', '/customers/7'],
    safe: ['/buyers/7', '/customers/7'],
  },
  {
    name: 'http-fastify',
    program: 'http',
    args: ['fastify'],
    caller: 'http caller',
    service: 'users',
    protocols: ['http'],
    paths: ['/buyers/7', '/customers/7'],
    safe: ['/buyers/7', '/customers/7'],
  },
  {
    name: 'grpc',
    program: 'grpc',
    args: [],
    caller: 'grpc caller',
    service: 'orders',
    protocols: ['grpc'],
    paths: ['/orders/7', '/purchases/7'],
    safe: ['/orders/7', '/purchases/7'],
  },
  {
    name: 'hybrid',
    program: 'hybrid',
    args: [],
    caller: 'hybrid caller',
    service: 'stock',
    protocols: ['http', 'tcp'],
    paths: ['/stock/7', '/stock/7/count'],
    safe: ['/stock/7', '/stock/7/count'],
  },
];

const PER_SECOND = 30;
const INTERVAL_MS = 400;

/** Does something under load; all calls before it are answered, and none fails. */
async function runUnderLoad(
  base: string,
  paths: readonly string[],
  all: readonly Instance[],
  action: () => Promise<void>,
): Promise<void> {
  const calls = load(base, paths, PER_SECOND);
  onTestFinished(() => calls.stop());
  const hasAnswered = ({ id }: Instance): boolean => calls.replies.some(({ instance }) => instance === id);
  await waitFor('all answer', () => all.every(hasAnswered));
  await action();
  const seen = calls.replies.length;
  await waitFor('calls go on', () => calls.replies.length > seen + PER_SECOND);
  await calls.stop();
  expect(calls.replies.filter(isFailed)).toEqual([]);
  expect(calls.replies.every(({ text }) => text.includes('"id":"7"'))).toBe(true);
}

describe('each example', () => {
  let url = '';
  const children: Child[] = [];
  let runs = 0;

  beforeAll(async () => {
    url = await urlOf(startRegistry(INTERVAL_MS, ['--memory']));
  });
  afterEach(endChildren);
  afterAll(endAll);

  function endChildren(): void {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  }

  async function instancesOf(service: string, namespace: string): Promise<readonly Instance[]> {
    const answer = await fetch(`${url}/api/v1/services/${service}?namespace=${namespace}`);
    const { instances = [] } = (await answer.json()) as { instances?: readonly Instance[] };
    return instances;
  }

  async function healthy(service: string, namespace: string, count: number): Promise<readonly Instance[]> {
    let found: readonly Instance[] = [];
    let isLooking = false;
    await waitFor(`${count} of ${service} are HEALTHY`, () => {
      if (!isLooking) {
        isLooking = true;
        void instancesOf(service, namespace)
          .then((instances) => (found = instances.filter(({ state }) => state === 'HEALTHY')))
          .finally(() => (isLooking = false));
      }
      return found.length === count;
    });
    return found;
  }

  it.each(variants(EXAMPLES, ({ name }) => name, ['hybrid']))(
    '$name: becomes HEALTHY, is called by name, is stopped and is killed without a failed call',
    (example) => timed(INTERVAL_MS, () => perform(example)),
  );

  async function perform({ name, program, args, caller, service, protocols, paths, safe }: Example): Promise<void> {
    endChildren(); // those of a repeated run
    runs += 1;
    const namespace = `${name}-${runs}`;
    const env = { ROLLCALL_URL: url, ROLLCALL_NAMESPACE: namespace, PORT: '0' };
    const launch = (what: Example['program'], words: readonly string[]): Child => {
      const child = start(what, words, env);
      children.push(child);
      return child;
    };
    const [first, second] = [launch(program, args), launch(program, args)];
    launch(caller, []);

    const found = await healthy(service, namespace, 2);
    for (const { endpoints } of found) {
      expect(endpoints.map(({ protocol }) => protocol).toSorted()).toEqual(protocols);
      for (const { host, port } of endpoints) {
        expect(host).toBe('127.0.0.1'); // bound to every address, it registers the one that the registry sees
        expect(port).toBeGreaterThan(0);
      }
    }
    const gateway = (await healthy('gateway', namespace, 1)).at(0)!;
    const base = `http://127.0.0.1:${gateway.endpoints.at(0)!.port}`;

    await runUnderLoad(base, paths, found, async () => {
      first.kill('SIGTERM');
      await first.line(/Drained in \d+ ms/);
      await first.exited;
    });
    launch(program, args);
    await runUnderLoad(base, safe, await healthy(service, namespace, 2), async () => {
      second.kill('SIGKILL');
      await second.exited;
    });
  }
});
