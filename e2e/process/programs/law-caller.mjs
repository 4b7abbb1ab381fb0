// A process that makes calls over one protocol: with Rollcall, or as a bare client (Nest's ClientProxy, undici,
// grpc-js) that takes the instances at the addresses TARGETS (JSON: [{ host, port }]) in turn. The environment: CLIENT
// `rollcall` or `bare`, OVER the protocol, ROLLCALL_URL, SERVICE, NAME (the prefix of its ids), CALLS (JSON, the option
// `calls`), ZONE. Standard input brings a command on each line, JSON with `do` and `n`; the answer, a line of JSON,
// repeats `n`.
import { setTimeout as pass } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createInterface } from 'node:readline';
import { loadSync } from '@grpc/proto-loader';

const { CLIENT, OVER, ROLLCALL_URL, SERVICE, NAME, CALLS = '{}', ZONE = '', TARGETS = '[]' } = process.env;
const TICK_MS = 1;
const LEAST_MS = 20;
const MOST_FAILURES = 2_000;
const METHOD = { find: 'GET', read: 'GET', slow: 'GET', book: 'POST' };

const { Find, Book, Read, Slow } = loadSync(fileURLToPath(new URL('law.proto', import.meta.url)))['law.Orders'];
const GRPC = { find: Find, book: Book, read: Read, slow: Slow };

/** Resolves with the id of the instance that answered. */
async function rollcallAsk() {
  const { Rollcall } = await import('@rollcall/client');
  const client = new Rollcall({ registry: ROLLCALL_URL, zone: ZONE, calls: JSON.parse(CALLS) });
  const asks = {
    tcp: async (service, verb, id, wishes) => (await client.call(service, verb, { id }, wishes)).instance,
    http: async (service, verb, id, wishes) => {
      const response = await client.fetch(service, `/${verb}?id=${id}`, { method: METHOD[verb] }, wishes);
      const { instance } = await response.json();
      if (!response.ok) throw Object.assign(new Error(`HTTP ${response.status}`), { code: `HTTP_${response.status}` });
      return instance;
    },
    grpc: async (service, verb, id, wishes) => (await client.grpc(service, GRPC[verb], { id }, wishes)).instance,
  };
  client.start();
  const ask = asks[OVER];
  return {
    client,
    ask: (verb, id, { service = SERVICE, ...wishes }) => ask(service, verb, id, wishes),
  };
}

const failure = (code, message) => Object.assign(new Error(message), { code });

async function bareAsk() {
  const targets = JSON.parse(TARGETS);
  let turn = 0;
  const inTurn = (list) => list[turn++ % list.length];
  if (OVER === 'tcp') {
    const { ClientProxyFactory, Transport } = await import('@nestjs/microservices');
    const { firstValueFrom, timeout } = await import('rxjs');
    const proxies = targets.map((options) => ClientProxyFactory.create({ transport: Transport.TCP, options }));
    return (verb, id, { deadlineMs }) =>
      firstValueFrom(inTurn(proxies).send(verb, { id }).pipe(timeout(deadlineMs))).then(({ instance }) => instance);
  }
  if (OVER === 'http') {
    const { Agent, request } = await import('undici');
    const dispatcher = new Agent();
    return async (verb, id, { deadlineMs, signal }) => {
      const { host, port } = inTurn(targets);
      const response = await request(`http://${host}:${port}/${verb}?id=${id}`, {
        method: METHOD[verb],
        dispatcher,
        signal: signal ?? AbortSignal.timeout(deadlineMs),
      });
      const body = await response.body.json();
      if (response.statusCode >= 300) throw failure(`HTTP_${response.statusCode}`, 'status');
      return body.instance;
    };
  }
  const { credentials, Client } = await import('@grpc/grpc-js');
  const clients = targets.map(({ host, port }) => new Client(`${host}:${port}`, credentials.createInsecure()));
  return (verb, id, { deadlineMs, signal }) =>
    new Promise((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = GRPC[verb];
      const answered = (error, answer) => (error === null ? resolve(answer.instance) : reject(error));
      const call = inTurn(clients).makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { id },
        { deadline: Date.now() + deadlineMs },
        answered,
      );
      signal?.addEventListener('abort', () => call.cancel(), { once: true });
    });
}

const { client = null, ask } = CLIENT === 'rollcall' ? await rollcallAsk() : { ask: await bareAsk() };

function codeOf(error) {
  if (error.name === 'TimeoutError' || error.code === 4) return 'DEADLINE_EXCEEDED';
  if (error.name === 'AbortError' || error.code === 1) return 'CANCELLED';
  return String(error.code ?? error.name ?? error);
}

/** The results of many calls. */
class Tally {
  calls = 0;
  failed = {};
  failures = [];
  /** The largest delay of a call's start, ms. */
  lagMs = 0;
  /** Answers by instance, and failures, for each second since the first call was due. */
  seconds = [];
  #open = new Set();
  #times = [];
  #startedAt = performance.now();

  /** `dueAt`: when it is due, on the clock of `performance.now`. */
  make(verb, id, terms, dueAt = performance.now()) {
    this.calls += 1;
    const madeAt = performance.now();
    this.lagMs = Math.max(this.lagMs, madeAt - dueAt);
    const second = Math.floor((dueAt - this.#startedAt) / 1_000);
    // a refusal that is thrown is a failure like any other
    const call = (async () => ask(verb, id, terms))().then(
      (instance) => this.#over(second, instance, madeAt),
      (error) => {
        const code = codeOf(error);
        this.failed[code] = (this.failed[code] ?? 0) + 1;
        this.#over(second, 'failed', madeAt);
        if (this.failures.length >= MOST_FAILURES) return;
        const attempts = (error.attempts ?? []).map(
          ({ instance, ms, outcome }) => `${instance} ${outcome} ${ms.toFixed(0)}`,
        );
        const ms = Math.round(performance.now() - madeAt);
        this.failures.push({
          id,
          verb,
          code,
          text: error.message,
          attempts,
          dueMs: Math.round(dueAt - this.#startedAt),
          ms,
        });
      },
    );
    this.#open.add(call);
    void call.then(() => this.#open.delete(call));
    return call;
  }

  async report() {
    await Promise.all(this.#open);
    const sorted = this.#times.toSorted((one, other) => one - other);
    const quantile = (share) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
    const { calls, failed, failures, lagMs, seconds } = this;
    return {
      calls,
      failed,
      failures,
      seconds: Array.from(seconds, (counts) => counts ?? {}),
      lagMs: Math.round(lagMs),
      ms: { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) },
    };
  }

  #over(second, what, madeAt) {
    const counts = (this.seconds[second] ??= {});
    counts[what] = (counts[what] ?? 0) + 1;
    this.#times.push(performance.now() - madeAt);
  }
}

let made = 0;
const nextId = () => `${NAME}-${(made += 1)}`;
/** The loads that run, by name. */
const loads = new Map();

const commands = {
  /** Resolves when the first record of the service has arrived, if there is one. */
  ready: async ({ isRegistered }) => {
    if (isRegistered) await client?.ready(SERVICE, 10_000);
    return {};
  },
  /** Makes `calls` calls at once. */
  burst: async ({ verb, calls, terms }) => {
    const tally = new Tally();
    for (let turn = 0; turn < calls; turn += 1) void tally.make(verb, nextId(), terms);
    return tally.report();
  },
  /** Keeps `concurrent` calls in flight for `forMs`. */
  closed: async ({ verb, concurrent, terms, forMs }) => {
    const tally = new Tally();
    const until = performance.now() + forMs;
    const loop = async () => {
      while (performance.now() < until) {
        // calls that are refused at once must not be repeated without end
        await Promise.all([tally.make(verb, nextId(), terms), pass(LEAST_MS)]);
      }
    };
    await Promise.all(Array.from({ length: concurrent }, loop));
    return tally.report();
  },
  /** One call whose request or answer is as long as `bytes`. */
  large: async ({ verb, bytes, terms }) => {
    const tally = new Tally();
    await tally.make(verb, 'x'.repeat(bytes), terms);
    const report = await tally.report();
    return { ...report, failures: report.failures.map((one) => ({ ...one, id: '' })) };
  },
  /** Calls at times set by the clock alone, `rates` of each verb per second. */
  start: async ({ load, rates, terms }) => {
    const tally = new Tally();
    const startedAt = performance.now();
    const counts = new Map();
    const makeDue = () => {
      const now = performance.now();
      for (const [verb, perSecond] of Object.entries(rates)) {
        let count = counts.get(verb) ?? 0;
        for (; startedAt + (count * 1_000) / perSecond <= now; count += 1) {
          void tally.make(verb, nextId(), terms[verb], startedAt + (count * 1_000) / perSecond);
        }
        counts.set(verb, count);
      }
    };
    loads.set(load, { tally, timer: setInterval(makeDue, TICK_MS) });
    return {};
  },
  stop: async ({ load }) => {
    const { tally, timer } = loads.get(load);
    clearInterval(timer);
    return tally.report();
  },
  /** Calls that are aborted by signal `afterMs` after their start, `concurrent` in flight at any time. */
  abort: async ({ verb, calls, concurrent, afterMs, terms }) => {
    const tally = new Tally();
    let begun = 0;
    const loop = async () => {
      while ((begun += 1) <= calls) {
        const controller = new AbortController();
        const call = tally.make(verb, nextId(), { ...terms, signal: controller.signal });
        await pass(Math.random() * afterMs);
        controller.abort();
        await call;
      }
    };
    await Promise.all(Array.from({ length: concurrent }, loop));
    return tally.report();
  },
  /** Blocks the event loop for `ms`. It burns no CPU: on a small machine the other processes would stand still, too. */
  block: async ({ ms }) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    return {};
  },
  explain: async () => client.explain(SERVICE),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { n, do: name, ...terms } = JSON.parse(line);
  void commands[name](terms).then(
    (answer) => console.log(JSON.stringify({ n, ...answer })),
    (error) => console.log(JSON.stringify({ n, error: String(error.stack ?? error) })),
  );
}
process.exit(0);
