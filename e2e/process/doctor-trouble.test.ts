// `rollcall doctor` when the network or a process is in trouble: it reports what it observed, and does not guess.
// Packets are lost by proxies of the test; limits are those of real processes.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import {
  closeAll,
  codesOf,
  diagnose,
  finding,
  startRawService,
  closeLater,
  openPort,
  startLossyProxy,
  TROUBLE_CODES,
  provoked,
  startProxy,
  register,
} from './doctor-stage.js';
import type { Diagnosis } from './doctor-stage.js';
import { freePort } from './free-port.js';
import { launch } from './launch.js';
import type { Child } from './launch.js';
import { endAll, PROGRAMS, start } from './spawn.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 200;
/** So slow that no state changes during a test. */
const CALM_MS = 60_000;

afterEach(async () => {
  await closeAll();
  await endAll();
});
afterAll(endAll);

const startRegistryWith = (...args: string[]): Promise<string> => urlOf(startRegistry(CALM_MS, ['--memory', ...args]));
const portOf = (url: string): number => Number(new URL(url).port);

const SECRET = 'a-secret-of-132-bits-22';

/** The fixes of all findings. */
const fixesOf = ({ findings }: Diagnosis): string => findings.flatMap(({ fix }) => fix).join('\n');

async function anInstance(url: string, id: string, port = 9, secret = SECRET): Promise<void> {
  const answer = await register(url, { id, service: 'crowd', endpoints: [{ protocol: 'tcp', port }], secret });
  if (answer.status !== 201) throw new Error(await answer.text());
}

/** Keeps the connection open. Resolves with the answer's head. */
async function opened(url: string, headers: Readonly<Record<string, string>>): Promise<void> {
  const asked = request(url, { agent: false, headers });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.on('error', () => {}).resume();
  closeLater(() => response.destroy());
}

/** Whether it is answered on a connection of its own. */
function isReached(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(`${url}/health/live`, { agent: false }, (response) => {
      response.resume().on('end', () => resolve(true));
    });
    asked.on('error', () => resolve(false)).end();
  });
}

const openFilesOf = ({ pid }: Child): number => readdirSync(`/proc/${pid}/fd`).length;

/** From now on the process may open `more` more files than it has open. */
function limitFiles(child: Child, more: number): void {
  const most = openFilesOf(child) + more;
  execFileSync('sh', ['-c', 'prlimit --pid "$1" --nofile="$2":', 'sh', String(child.pid), String(most)]);
}

const isLinux = process.platform === 'linux';
if (!isLinux) console.warn('skipped: processes without open files, since only Linux has prlimit and /proc');

function startLimitedProgram(): Child {
  const up = ['up', '--json', '--memory', '--port', '0', '--interval', String(CALM_MS)];
  return launch('sh', ['-c', 'ulimit -n 160 && exec "$@"', 'sh', process.execPath, PROGRAMS.rollcall, ...up]);
}

describe.runIf(isLinux)('a registry with few open files', () => {
  it('is reported with an unknown cause, not with TLS, when it accepts no more connections', async () => {
    const registry = startLimitedProgram();
    const url = await urlOf(registry);
    // the limit applies to their numbers, and there are gaps between those that are open
    let more = 0;
    await waitFor('it has no file left', async () => {
      limitFiles(registry, more);
      more -= 1;
      return !(await isReached(url));
    });
    const diagnosis = await diagnose(url);
    const { what } = finding(
      diagnosis,
      'registry-closes-connections',
      /ECONNRESET.*\d of 6 tries/,
      /open files.*ulimit -n/,
    );
    expect(what).toContain('The reason is not visible from here');
    expect([diagnosis.code, fixesOf(diagnosis).includes('https://')]).toEqual([3, false]);
  });

  it('reports how many are open when hardly any are left', async () => {
    const registry = startLimitedProgram();
    const url = await urlOf(registry);
    for (let port = 1; openFilesOf(registry) < 140; port += 1) {
      await anInstance(url, `crowd-${port}`, port);
      // its line, which may stay open
      await opened(`${url}/api/v1/watch?instance=crowd-${port}`, { authorization: `Bearer ${SECRET}` });
    }
    const diagnosis = await diagnose(url, ['--no-ports', 'crowd-1']);
    finding(diagnosis, 'few-open-files', /1[3-5]\d of 160 files and connections are open/, /LimitNOFILE|ulimit/);
    expect(JSON.stringify(diagnosis.findings)).not.toContain('are used by');
  });
});

describe('a connection that loses packets', () => {
  it('is reported with the number of successful attempts, and no fix suggests another address', async () => {
    const url = await startRegistryWith();
    await anInstance(url, 'crowd-1');
    const port = await startLossyProxy(() => portOf(url), { swallows: (nth) => nth % 2 === 1 });
    const diagnosis = await diagnose(`http://127.0.0.1:${port}`, ['--no-ports']);
    finding(diagnosis, 'registry-unsteady', /asked from here: \d+ of \d+ tries were answered/, /ping -c 20/);
    expect(codesOf(diagnosis)).not.toContain('stream-cut');
    expect(fixesOf(diagnosis)).not.toMatch(/advertiseHost|https:/);
    expect(diagnosis.unchecked.join()).not.toContain('none is registered');
    expect(diagnosis.code).toBe(1);
  });

  it('is reported for the registry and the instance between them, and no fix suggests another address', async () => {
    const url = await urlOf(startRegistry(INTERVAL_MS, ['--memory']));
    let target = 0;
    const place = { port: await startLossyProxy(() => target, { swallows: (nth) => nth % 4 >= 2 }) };
    const one = await startRawService(url, 'lossy', { intervalMs: INTERVAL_MS, place });
    target = one.port;
    await waitFor('some rounds are lost, and some are not', async () => {
      const { heartbeat1 } = (await (await fetch(`${url}/api/v1/instances/${one.id}/beats`)).json()) as {
        heartbeat1: { roundTripMs: number | null }[];
      };
      const answered = heartbeat1.map(({ roundTripMs }) => roundTripMs !== null);
      return answered.filter((is, index) => is && index > 0 && !answered[index - 1]).length >= 3;
    });
    const diagnosis = await diagnose(url, ['lossy']);
    finding(diagnosis, 'heartbeats-lost', /of the last \d+ rounds of Heartbeat-1 \d+ were answered/, /ping -c 20/);
    expect(fixesOf(diagnosis)).not.toContain('advertiseHost');
  });

  it('is reported when it drops only large answers', async () => {
    const url = await startRegistryWith();
    const port = await startLossyProxy(() => portOf(url), { maxBytes: 32_768 });
    const diagnosis = await diagnose(`http://127.0.0.1:${port}`);
    finding(diagnosis, 'large-answers-lost', /bytes of an answer came, and no more/, /ping -c 3 -M do/);
    finding(diagnosis, 'large-answers-lost', /an answer of \d+ bytes, and smaller ones, arrived/, /MSS/);
    expect(codesOf(diagnosis)).toEqual(['large-answers-lost']);
  });

  it('is reported when it drops all answers above one packet, even the one about the registry', async () => {
    const url = await startRegistryWith();
    const port = await startLossyProxy(() => portOf(url), { maxBytes: 1_300 });
    const diagnosis = await diagnose(`http://127.0.0.1:${port}`);
    finding(diagnosis, 'large-answers-lost', /of an answer came, and no more/, /ping -c 3 -M do/);
    expect(diagnosis.code).toBe(1);
  });
});

describe('the registry that the doctor asks', () => {
  it('is found on IPv6 alone, and no fix suggests to start it again', async () => {
    const url = await startRegistryWith('--host', '::1');
    const diagnosis = await diagnose(`http://127.0.0.1:${portOf(url)}`);
    finding(diagnosis, 'registry-at-other-address', /at ::1 alone: a registry/, /ROLLCALL_URL=http:\/\/\[::1\]:\d+/);
    expect(fixesOf(diagnosis)).not.toContain('npx rollcall up');
    expect(codesOf(diagnosis)).toEqual(['registry-at-other-address']);
    expect(diagnosis.code).toBe(3);
  });

  it('may be an empty one, while instances are at another of the list', async () => {
    const [empty, full] = await Promise.all([startRegistryWith(), startRegistryWith()]);
    await anInstance(full, 'crowd-1');
    const diagnosis = await diagnose(`${empty},${full}`, ['--no-ports']);
    const { what } = finding(diagnosis, 'registries-differ', /with 0 instances/, new RegExp(`doctor --url ${full}`));
    expect(what).toContain('is empty');
    // in the opposite order the second one is a standby
    expect(codesOf(await diagnose(`${full},${empty}`, ['--no-ports']))).not.toContain('registries-differ');
  });

  it('may be an empty one, while another has the same port of the other family', async () => {
    const port = await freePort();
    const [empty, full] = await Promise.all(
      ['127.0.0.1', '::1'].map((host) => urlOf(startRegistry(CALM_MS, ['--memory', '--host', host], port))),
    );
    await anInstance(full ?? '', 'crowd-1');
    finding(await diagnose(empty ?? ''), 'registries-differ', /\[::1\].* with 1 instances/, /rollcall doctor --url/);
  });
});

describe('a proxy that ends streams', () => {
  it('is detected by the doctor behind it, and by the registry, as streams of its instances end repeatedly', async () => {
    const url = await urlOf(startRegistry(INTERVAL_MS, ['--memory']));
    const way = await startProxy(url, { lastsMs: 600 });
    start('a', [], { ROLLCALL_URL: way });
    finding(
      await diagnose(way),
      'stream-cut',
      /held from here: a change feed ended after \d+ ms/,
      /proxy_read_timeout/,
    );
    await waitFor('its streams have ended often', async () => {
      const { instances } = (await (await fetch(`${url}/api/v1/services/a`)).json()) as {
        instances?: { id: string }[];
      };
      const [one] = instances ?? [];
      if (one === undefined) return false;
      const { lineLosses } = (await (await fetch(`${url}/api/v1/instances/${one.id}`)).json()) as {
        lineLosses: { times: number } | null;
      };
      return (lineLosses?.times ?? 0) >= 3;
    });
    const { instances } = finding(await diagnose(url), 'stream-cut', /which lives, ended \d+ times recently/, /proxy/);
    expect(instances).toHaveLength(1);
  });
});

describe('a server that closes connections without an answer', () => {
  it.each(['http', 'https'])('is reported over %s without a guessed reason', async (scheme) => {
    const port = await openPort(createTcpServer((socket) => void socket.on('error', () => {}).resetAndDestroy()));
    const diagnosis = await diagnose(`${scheme}://127.0.0.1:${port}`);
    const { what } = finding(diagnosis, 'registry-closes-connections', /ECONNRESET.*\d of 6 tries/, /proxy/);
    expect(what).toContain(scheme === 'http' ? 'speaks no TLS either' : 'No TLS alert was seen');
    expect(codesOf(diagnosis)).toEqual(['registry-closes-connections']);
  });
});

describe.runIf(isLinux)('a doctor with few open files', () => {
  it('reports that it could not ask', async () => {
    const server = createTcpServer((socket) => void socket.on('error', () => {}));
    const port = await openPort(server);
    const asked = once(server, 'connection');
    const child = start('rollcall', ['doctor', '-o', 'json', '--url', `http://127.0.0.1:${port}`]);
    await asked;
    limitFiles(child, 0);
    const { code } = await child.exited;
    const diagnosis = { code, ...(JSON.parse(child.out.join('')) as Omit<Diagnosis, 'code'>) };
    for (const one of codesOf(diagnosis)) provoked.add(one);
    finding(diagnosis, 'few-open-files-here', /./, /ulimit -n/);
    expect([code, codesOf(diagnosis)]).toEqual([1, ['few-open-files-here']]);
  });
});

describe('in a container', () => {
  const inPod = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };

  it('the doctor suggests commands that work there', async () => {
    const diagnosis = await diagnose(`http://127.0.0.1:${await freePort()}`, [], inPod);
    finding(diagnosis, 'registry-not-listening', /ECONNREFUSED/, /kubectl get pods/);
    expect(fixesOf(diagnosis)).not.toMatch(/npx|ss -l/);
  });

  it('the registry reports its own, and a doctor elsewhere suggests commands that work there', async () => {
    const up = start('rollcall', ['up', '--json', '--memory', '--port', '0'], inPod);
    const url = await urlOf(up);
    const far = { id: 'far-1', service: 'far', endpoints: [{ protocol: 'tcp', host: '192.0.2.1', port: 9 }] };
    await register(url, far);
    const diagnosis = await diagnose(url);
    finding(
      diagnosis,
      'address-not-allowed',
      /192\.0\.2\.1/,
      /in the args of the registry’s container: --allow-network/,
    );
  });
});

it('provokes every code of this file', () => {
  const here = [...provoked].filter((code) => TROUBLE_CODES.includes(code));
  expect(here.toSorted()).toEqual([...TROUBLE_CODES].toSorted());
});
