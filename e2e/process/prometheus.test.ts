import { randomUUID } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from './free-port.js';
import { endAll, launch } from './launch.js';
import { start } from './spawn.js';

// A real Prometheus beside a real registry and two Nest services: what it discovers, scrapes and alerts. Where it is
// not installed (Debian: the package prometheus) these tests are skipped, and their names say so.

const DEPLOY = fileURLToPath(new URL('../../deploy/prometheus', import.meta.url));
const PROMTOOL = 'promtool';
const PROMETHEUS = 'prometheus';
const runs = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const isHere = runs(PROMTOOL) && runs(PROMETHEUS);
const absent = isHere ? '' : ' (skipped: prometheus and promtool are not installed)';

function promtool(args: readonly string[], input = ''): { readonly status: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(PROMTOOL, args, {
    cwd: folder,
    input,
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, output: stdout + stderr };
}

const fine = (args: readonly string[], input?: string): void => {
  const { status, output } = promtool(args, input);
  expect(output).toMatch(input === undefined ? /SUCCESS/ : /^$/);
  expect(status).toBe(0);
};

let folder = '';
let registry = '';
let prometheus = '';
const services = ['orders', 'web'] as const;
const ports = new Map<string, string>();

const textOf = async (url: string, headers: Record<string, string> = {}): Promise<string> => {
  const answer = await fetch(url, { headers });
  expect(answer.status).toBe(200);
  return answer.text();
};

/** The answer of Prometheus to a query, as soon as it is `enough`. */
async function asked<Found>(path: string, enough: (data: any) => Found | null): Promise<Found> {
  const deadline = performance.now() + 20_000;
  let last: unknown = null;
  while (performance.now() < deadline) {
    const answer = await fetch(`${prometheus}/api/v1/${path}`).catch(() => null);
    // while it starts it answers 503, in plain text
    if (answer?.ok === true) {
      last = ((await answer.json()) as { data: unknown }).data;
      const found = enough(last);
      if (found !== null) return found;
    } else last = await answer?.text();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`Prometheus answers ${path} only with ${JSON.stringify(last)}`);
}

/** The value of a query, once it has one that is not 0. */
const valueOf = (query: string): Promise<number> =>
  asked(`query?query=${encodeURIComponent(query)}`, (data) => Number(data?.result?.[0]?.value?.[1] ?? 0) || null);

describe.skipIf(!isHere)(`Prometheus${absent}`, () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'rollcall-prometheus-'));
    cpSync(DEPLOY, folder, { recursive: true });
    writeFileSync(join(folder, 'rollcall-token'), 'none');
    const up = start('rollcall', ['up', '--json', '--port', '0', '--interval', '250']);
    registry = (JSON.parse(await up.line(/^{/)) as { url: string }).url;
    const children = services.map((name) => ({
      name,
      child: start('metered', [], { SERVICE: name, ROLLCALL_URL: registry }),
    }));
    for (const { name, child } of children) ports.set(name, (await child.line(/^listening/)).split(' ').at(1)!);
  });
  afterAll(async () => {
    await endAll();
    rmSync(folder, { recursive: true, force: true });
  });

  it('accepts the metrics of a registry and of a service', async () => {
    expect(JSON.parse(await textOf(`http://127.0.0.1:${ports.get('web')}/ask/orders`))).toMatchObject({ status: 200 });
    const ofService = await textOf(`http://127.0.0.1:${ports.get('web')}/metrics`);
    expect(ofService).toMatch(/^rollcall_call_seconds_count\{service="orders",outcome="success"\} 1$/m);
    fine(['check', 'metrics'], ofService);
    fine(['check', 'metrics'], await textOf(`${registry}/metrics`));
  });

  it('accepts the configuration and the alerts of deploy/prometheus, each of which fires when it should', () => {
    fine(['check', 'config', 'prometheus.yml']);
    fine(['check', 'rules', 'alerts.yml']);
    fine(['test', 'rules', 'alerts.test.yml']);
  });

  it('parses every query of the dashboard', () => {
    const dashboard = readFileSync(
      fileURLToPath(new URL('../../deploy/grafana/rollcall.json', import.meta.url)),
      'utf8',
    );
    const { panels } = JSON.parse(dashboard) as { panels: { targets?: { expr: string }[] }[] };
    const questions = panels.flatMap(({ targets = [] }) =>
      targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m')),
    );
    expect(questions.length).toBeGreaterThan(20);
    const rules = questions.map((expr, index) => ({ record: `question_${index}`, expr }));
    // JSON is YAML
    writeFileSync(join(folder, 'questions.yml'), JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    fine(['check', 'rules', 'questions.yml']);
  });

  it('discovers services through the registry, and scrapes the registry and the services with metrics only', async () => {
    const id = `plain-${randomUUID()}`; // another one when it is tried again
    const plain = {
      id,
      service: 'plain',
      endpoints: [{ protocol: 'http', host: '127.0.0.1', port: await freePort() }],
    };
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify(plain);
    expect((await fetch(`${registry}/api/v1/register`, { method: 'POST', headers, body })).status).toBe(201);
    expect(await textOf(`${registry}/sd/prometheus`)).toContain('"__meta_rollcall_metrics":"assumed"');
    const port = await freePort();
    prometheus = `http://127.0.0.1:${port}`;
    configure();
    const child = launch(PROMETHEUS, [
      `--config.file=${join(folder, 'live.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
    const targets = await asked('targets?state=active', (data) => {
      const all = (data?.activeTargets ?? []) as {
        health: string;
        labels: Record<string, string>;
        scrapePool: string;
      }[];
      return all.length === 3 && all.every(({ health }) => health === 'up') ? all : null;
    });
    const found = targets.filter(({ scrapePool }) => scrapePool === 'rollcall-services');
    expect(
      found.map(({ labels }) => [labels['app'], labels['namespace'], labels['version'], labels['instance']]),
    ).toEqual(
      expect.arrayContaining(services.map((name) => [name, 'default', '1.2.3', `127.0.0.1:${ports.get(name)}`])),
    );
    expect(await valueOf('sum(rollcall_registry_instances{state="HEALTHY"})')).toBe(2);
    expect(await valueOf('rollcall_registry_instances{service="orders",state="HEALTHY"}')).toBe(1);
    expect(await valueOf('sum(rollcall_call_seconds_count{app="web",service="orders",outcome="success"})')).toBe(1);
    // as OpenMetrics, which it prefers, and as text the same
    expect(await textOf(`${registry}/metrics`, { accept: 'application/openmetrics-text' })).toMatch(/# EOF\n$/);
    child.kill('SIGTERM');
    expect(await child.exited).toMatchObject({ code: 0 });
  });
});

/** As deployed, but for this registry, twice a second. */
function configure(): void {
  const host = new URL(registry).host;
  const deployed = readFileSync(join(folder, 'prometheus.yml'), 'utf8');
  const live = deployed
    .replaceAll('registry:1337', host)
    .replaceAll(/(scrape_interval|evaluation_interval|refresh_interval): 15s/g, '$1: 500ms');
  expect(live.match(/500ms/g)).toHaveLength(3);
  writeFileSync(join(folder, 'live.yml'), live);
}
