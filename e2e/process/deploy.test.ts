import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { launch } from './launch.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';

// Only its engine can show that an image builds. Checked here is what it depends on: files that exist, commands that
// run as written, ports and names that agree with each other and with the code.

type Tree = Readonly<Record<string, unknown>>;

// the parser that knip depends on, so that no package is needed for this alone
const yaml = createRequire(import.meta.resolve('knip'))('yaml') as {
  parseAllDocuments(text: string, options: { readonly merge: boolean }): { readonly errors: unknown[]; toJS(): Tree }[];
};

const root = fileURLToPath(new URL('../..', import.meta.url));
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Every document of a file. Throws on errors in it. */
function parsed(path: string): readonly Tree[] {
  return yaml.parseAllDocuments(textOf(path), { merge: true }).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS();
  });
}

/** The value at a path such as `spec.template.spec.containers.0.args`; undefined where there is none. */
function at(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((node, key) => (node as Tree | undefined)?.[key], tree);
}

const listAt = <Item = Tree>(tree: unknown, path: string): readonly Item[] => (at(tree, path) ?? []) as Item[];

interface Instruction {
  readonly word: string;
  readonly rest: string;
  readonly stage: string;
}

/** The lines of a Dockerfile, with continued ones joined. */
function instructionsOf(path: string): readonly Instruction[] {
  const lines = textOf(path)
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line !== '');
  let stage = '';
  return lines.map((line) => {
    const [, word = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (word === 'FROM') stage = / AS (\S+)$/.exec(rest)?.[1] ?? '';
    return { word, rest, stage };
  });
}

const dockerfile = instructionsOf('deploy/Dockerfile');
const inStage = (stage: string, word: string): readonly string[] =>
  dockerfile.filter((line) => line.stage === stage && line.word === word).map(({ rest }) => rest);
const listIn = (text: string): readonly string[] => JSON.parse(/\[.*\]$/.exec(text)![0]) as string[];

const compose = parsed('deploy/compose.yaml').at(0)!;
const manifests = readdirSync(join(root, 'deploy/k8s')).flatMap((file) => parsed(`deploy/k8s/${file}`));
const named = (kind: string, name: string): Tree =>
  manifests.find((manifest) => manifest['kind'] === kind && at(manifest, 'metadata.name') === name)!;

const DRAIN_MS = 10_000;
/** The variables that programs here read: the module's, and those of the examples. */
const variables = ((): ReadonlySet<string> => {
  const sources = [
    'packages/nestjs/src/rollcall.module-definition.ts',
    ...['service-a', 'service-b', 'gateway', 'tcp'].map((name) => `examples/${name}/src/main.ts`),
  ];
  const found = sources.flatMap((path) => [...textOf(path).matchAll(/(?:environment|process\.env)\['([A-Z_]+)'\]/g)]);
  return new Set(found.map(([, name = '']) => name));
})();

/** Every variable that is set for a service. */
const environmentsOf = (): readonly string[] => [
  ...Object.values(at(compose, 'services') as Tree).flatMap((service) =>
    Object.keys((at(service, 'environment') ?? {}) as Tree),
  ),
  ...manifests.flatMap((manifest) =>
    listAt<{ name: string }>(manifest, 'spec.template.spec.containers.0.env').map(({ name }) => name),
  ),
];

/** A program of this repository, as a container starts it: `node`, a file below the image's folder, arguments. */
function isProgram(command: readonly string[]): boolean {
  const [node, file = ''] = command;
  return node === 'node' && existsSync(join(root, file));
}

describe('deploy/Dockerfile', () => {
  it('copies files that exist, from stages that exist', () => {
    const stages = new Set(dockerfile.map(({ stage }) => stage));
    const copies = dockerfile.filter(({ word }) => word === 'COPY');
    expect(copies.length).toBeGreaterThan(5);
    for (const { rest } of copies) {
      const words = rest.split(' ');
      const from = /^--from=(.*)$/.exec(words.at(0)!)?.[1];
      if (from !== undefined) expect(stages).toContain(from);
      const sources = words.slice(from === undefined ? 0 : 1, -1);
      for (const source of sources) expect(existsSync(join(root, source.replace(/^\/app\//, '')))).toBe(true);
    }
  });

  it('builds every program that is started, and installs its dependencies', () => {
    const { workspaces } = JSON.parse(textOf('package.json')) as { workspaces: string[] };
    expect(workspaces).toContain('examples/*');
    const runs = dockerfile.filter(({ word }) => word === 'RUN').map(({ rest }) => rest);
    const built = runs.find((line) => line.includes('tsc -b'))!.split(' ');
    for (const folder of built.filter((word) => word.includes('/'))) {
      expect(existsSync(join(root, folder, 'tsconfig.json'))).toBe(true);
    }
    const installed = runs.flatMap((line) => [...line.matchAll(/--workspace (\S+)/g)].map(([, name]) => name));
    for (const name of installed) {
      const { resolve } = createRequire(import.meta.url);
      expect(existsSync(resolve(`${name}/package.json`))).toBe(true);
    }
    const started = [...inStage('examples', 'CMD').map(listIn), ...commandsOfServices()];
    for (const command of started) {
      expect(command).toSatisfy(isProgram);
      expect(built).toContain(command.at(1)!.replace('/dist/main.js', ''));
    }
  });

  it('runs no process as root, and every process gets the signals itself', () => {
    for (const stage of ['examples', 'registry']) {
      expect(inStage(stage, 'USER')).toEqual(['node']);
      for (const line of [...inStage(stage, 'CMD'), ...inStage(stage, 'ENTRYPOINT')]) expect(line).toMatch(/^\["/);
    }
  });

  it('the registry serves with its command once there is a token, and the health check confirms it', async () => {
    const folder = temporary();
    const [entry] = inStage('registry', 'ENTRYPOINT').map(listIn);
    expect(entry).toSatisfy(isProgram);
    const command = inStage('registry', 'CMD').map(listIn).at(0)!;
    const paths = { '/data': folder };
    const early = runHere(command, paths);
    expect(await early.exited).toMatchObject({ code: 2 });
    expect(early.err.join('\n')).toContain('rollcall token create');

    await tokenBy(createLine(), paths);
    const registry = runHere(command, paths);
    const url = await urlOf(registry);
    const check = inStage('registry', 'HEALTHCHECK').at(0)!;
    expect(inStage('registry', 'EXPOSE')).toEqual(['1337']);
    expect(await exitCodeOf(listIn(check), url.port)).toBe(0);
    registry.kill('SIGTERM');
    expect(await registry.exited).toEqual({ code: 0, signal: null });
    expect(await exitCodeOf(listIn(check), url.port)).toBe(1);
    expect(readdirSync(folder).length).toBeGreaterThan(1); // it keeps more in its volume than the tokens
  });
});

describe('deploy/compose.yaml', () => {
  it('builds stages that exist, from a Dockerfile that exists', () => {
    const services = Object.values(at(compose, 'services') as Record<string, Tree>);
    expect(services.length).toBe(4);
    for (const service of services) {
      expect(existsSync(join(root, 'deploy', String(at(service, 'build.context')), 'deploy/Dockerfile'))).toBe(true);
      expect(dockerfile.some(({ stage }) => stage === at(service, 'build.target'))).toBe(true);
    }
  });

  it('services find the registry under a name that it answers to, and have the time to drain', () => {
    const [, ...names] = /"--name", "([^"]+)"/.exec(inStage('registry', 'CMD').at(0)!)!;
    for (const name of ['a', 'b', 'gateway']) {
      const service = at(compose, `services.${name}`);
      const url = new URL(String(at(service, 'environment.ROLLCALL_URL')));
      expect(Object.keys(at(compose, 'services') as Tree)).toContain(url.hostname);
      expect(names).toContain(url.hostname);
      expect(url.port).toBe('1337');
      expect(at(service, 'environment.BIND_HOST')).toBe('0.0.0.0');
      expect(Number.parseInt(String(at(service, 'stop_grace_period')), 10) * 1_000).toBeGreaterThan(DRAIN_MS);
    }
    expect(listAt<string>(compose, 'services.gateway.ports')).toEqual([
      `127.0.0.1:${String(at(compose, 'services.gateway.environment.PORT'))}:3333`,
    ]);
  });

  it('a service becomes HEALTHY with the token that the first line makes, and is refused without', async () => {
    const paths = { '/data': temporary() };
    const token = await tokenBy(createLine(), paths);
    const registry = runHere(inStage('registry', 'CMD').map(listIn).at(0)!, paths);
    const url = await urlOf(registry);
    const service = at(compose, 'services.a.environment') as Record<string, string>;
    expect(service['ROLLCALL_TOKEN']).toBe('${ROLLCALL_TOKEN:-}');
    const env = { ...service, ROLLCALL_URL: url.origin };
    const permitted = start('a', [], { ...env, ROLLCALL_TOKEN: token });
    const refused = start('a', [], { ...env, ROLLCALL_TOKEN: '' });
    await permitted.line(/is HEALTHY/);
    await waitFor('it logs it', () => [...refused.out, ...refused.err].some((line) => line.includes('ROLLCALL_TOKEN')));
    for (const child of [permitted, refused, registry]) child.kill('SIGKILL');
  });

  it('every mounted volume exists', () => {
    const [volume = '', folder] = listAt<string>(compose, 'services.registry.volumes').at(0)!.split(':');
    expect(Object.keys(at(compose, 'volumes') as Tree)).toEqual([volume]);
    expect(inStage('registry', 'VOLUME')).toEqual([folder]);
  });
});

describe('deploy/k8s', () => {
  const registry = named('StatefulSet', 'rollcall');
  const pod = 'spec.template.spec';

  it('there is one registry, which runs with its arguments, answers its probes, and accepts a service with its token', async () => {
    expect(at(registry, 'spec.replicas')).toBe(1);
    const secrets = temporary();
    const paths = { '/data': temporary(), '/etc/rollcall': secrets };
    const token = await tokenBy(
      ['token', 'create', '--tokens', '/etc/rollcall/tokens.json', '--role', 'service', '--service', 'orders'],
      paths,
    );
    const container = at(registry, `${pod}.containers.0`);
    const child = runHere(listAt<string>(container, 'args'), paths);
    const url = await urlOf(child);
    for (const probe of ['readinessProbe', 'livenessProbe']) {
      const path = String(at(container, `${probe}.httpGet.path`));
      expect((await fetch(`${url.origin}${path}`)).status).toBe(200);
    }
    const variablesOfPod = listAt<{ name: string }>(named('Deployment', 'orders'), `${pod}.containers.0.env`);
    expect(variablesOfPod.map(({ name }) => name)).toContain('ROLLCALL_TOKEN');
    const here = {
      ROLLCALL_URL: url.origin,
      ROLLCALL_TOKEN: token,
      ROLLCALL_ADVERTISE_HOST: '127.0.0.1',
      ROLLCALL_ZONE: '',
    };
    expect(Object.keys(here).toSorted()).toEqual(variablesOfPod.map(({ name }) => name).toSorted());
    const service = start('tcp', [], here);
    await service.line(/is HEALTHY/);
    for (const each of [service, child]) each.kill('SIGKILL');
  });

  it('mounts what its arguments name: a claimed, writable volume, and a secret', () => {
    const args = listAt<string>(registry, `${pod}.containers.0.args`);
    const mounts = new Map(
      listAt<{ name: string; mountPath: string }>(registry, `${pod}.containers.0.volumeMounts`).map((mount) => [
        mount.name,
        mount.mountPath,
      ]),
    );
    const claim = listAt(registry, 'spec.volumeClaimTemplates').at(0);
    expect(mounts.get(String(at(claim, 'metadata.name')))).toBe(args[args.indexOf('--data') + 1]);
    expect(at(registry, `${pod}.securityContext.fsGroup`)).toBe(at(registry, `${pod}.securityContext.runAsUser`));
    const volume = listAt(registry, `${pod}.volumes`).at(0);
    const [file = ''] = Object.keys(at(named('Secret', String(at(volume, 'secret.secretName'))), 'stringData') as Tree);
    expect(`${mounts.get(String(at(volume, 'name')))}/${file}`).toBe(args[args.indexOf('--tokens') + 1]);
    expect(mounts.size).toBe(2);
  });

  it('the named secrets exist, and hold placeholders, which the registry and the service refuse', async () => {
    const { secretKeyRef } = listAt<{ name: string; valueFrom: { secretKeyRef: { name: string; key: string } } }>(
      named('Deployment', 'orders'),
      `${pod}.containers.0.env`,
    ).find(({ name }) => name === 'ROLLCALL_TOKEN')!.valueFrom;
    const secrets = temporary();
    const data = at(named('Secret', 'rollcall-tokens'), 'stringData') as Record<string, string>;
    for (const [file, text] of Object.entries(data)) writeFileSync(join(secrets, file), text);
    const child = runHere(listAt<string>(registry, `${pod}.containers.0.args`), {
      '/data': temporary(),
      '/etc/rollcall': secrets,
    });
    expect(await child.exited).toMatchObject({ code: 1 });
    expect(child.err.join('\n')).toMatch(/tokens\.json cannot be read: it holds a placeholder .*rollcall token create/);
    expect(child.err.join('\n')).not.toContain('    at ');
    const token = String(at(named('Secret', secretKeyRef.name), `stringData.${secretKeyRef.key}`));
    const service = start('tcp', [], { ROLLCALL_URL: 'http://127.0.0.1:1', ROLLCALL_TOKEN: token });
    expect((await service.exited).code).not.toBe(0);
    expect([...service.out, ...service.err].join('\n')).toMatch(
      /token.*one word, as `rollcall token create` prints it/,
    );
  });

  it('rollcall can be run in the container of the registry, as the guides say', async () => {
    const link = inStage('registry', 'RUN').find((line) => line.includes('/usr/local/bin/rollcall'))!;
    const [, file = ''] = /ln -s \/app\/(\S+) \/usr\/local\/bin\/rollcall/.exec(link)!;
    expect(textOf(file)).toMatch(/^#!\/usr\/bin\/env node\n/);
    const folder = temporary();
    symlinkSync(join(root, file), join(folder, 'rollcall'));
    const child = launch(process.execPath, [join(folder, 'rollcall'), '--version']);
    expect(await child.exited).toMatchObject({ code: 0 });
    const guides = ['docs/guide/kubernetes.md', 'docs/guide/docker.md'].map(textOf).join('\n');
    expect(guides).toContain('kubectl exec statefulset/rollcall -- rollcall ls');
    expect(at(registry, 'metadata.name')).toBe('rollcall');
    const [{ valueFrom } = { valueFrom: {} }] = listAt<{ name: string; valueFrom: Tree }>(
      registry,
      `${pod}.containers.0.env`,
    );
    expect(at(valueFrom, 'secretKeyRef.optional')).toBe(true);
    expect(guides).toContain(`create secret generic ${String(at(valueFrom, 'secretKeyRef.name'))}`);
  });

  it('a Service routes to it under a name that it accepts, and services use that', () => {
    const service = named('Service', 'rollcall');
    expect(at(service, 'spec.selector')).toEqual(at(registry, 'spec.template.metadata.labels'));
    const args = listAt<string>(registry, `${pod}.containers.0.args`);
    expect(args[args.indexOf('--name') + 1]).toBe('rollcall');
    const port = listAt<{ name: string; containerPort: number }>(registry, `${pod}.containers.0.ports`).at(0)!;
    expect(listAt(service, 'spec.ports')).toEqual([
      { name: port.name, port: port.containerPort, targetPort: port.name },
    ]);
    const url = listAt<{ name: string; value: string }>(named('Deployment', 'orders'), `${pod}.containers.0.env`).at(
      0,
    )!;
    expect(url).toEqual({ name: 'ROLLCALL_URL', value: `http://rollcall:${port.containerPort}` });
  });

  it('selected pods have the labels, run without root, and set only variables that are read', () => {
    for (const manifest of manifests.filter(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment')) {
      expect(at(manifest, 'spec.selector.matchLabels')).toEqual(at(manifest, 'spec.template.metadata.labels'));
      expect(at(manifest, `${pod}.securityContext.runAsNonRoot`)).toBe(true);
    }
    expect(environmentsOf().filter((name) => !variables.has(name))).toEqual([]);
  });

  it('a pod is not killed before it has drained', () => {
    const graceMs = Number(at(named('Deployment', 'orders'), `${pod}.terminationGracePeriodSeconds`)) * 1_000;
    expect(graceMs).toBeGreaterThanOrEqual(2 * DRAIN_MS);
    expect(textOf('docs/OPTIONS.md')).toContain('| `drain.deadlineMs` | 10000 |');
  });
});

const folders: string[] = [];

afterAll(async () => {
  await endAll();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rollcall-deploy-'));
  folders.push(folder);
  return folder;
}

function commandsOfServices(): readonly (readonly string[])[] {
  const inCompose = Object.values(at(compose, 'services') as Tree).map((service) => listAt<string>(service, 'command'));
  const inManifests = manifests.map((manifest) => listAt<string>(manifest, 'spec.template.spec.containers.0.command'));
  return [...inCompose, ...inManifests].filter((command) => command.length > 0);
}

/** The command at the head of the compose file, without quotes and without the path of its file. */
function createLine(): readonly string[] {
  const [, line = ''] = /run --rm -T registry (.*) > deploy\/\.env/.exec(textOf('deploy/compose.yaml'))!;
  return line.replaceAll("'", '').split(' ');
}

/** Maps folders of a container to folders of this machine. */
type Paths = Readonly<Record<string, string>>;

function mapPaths(args: readonly string[], paths: Paths): readonly string[] {
  return args.map((word) => {
    const path = Object.keys(paths).find((folder) => word.startsWith(folder));
    return path === undefined ? word : word.replace(path, paths[path] ?? '');
  });
}

/** Makes a token with a `rollcall` command. */
async function tokenBy(args: readonly string[], paths: Paths): Promise<string> {
  const made = start('rollcall', mapPaths(args, paths));
  expect(await made.exited).toMatchObject({ code: 0 });
  const [, token = ''] = /^ROLLCALL_TOKEN=(\S+)$/.exec(made.out.at(0)!) ?? [];
  expect(token).not.toBe('');
  return token;
}

/** `rollcall` with these arguments, and any free port. */
function runHere(args: readonly string[], paths: Paths): Child {
  return start('rollcall', [...mapPaths(args, paths), '--port', '0', '--json']);
}

async function urlOf(registry: Child): Promise<URL> {
  return new URL((JSON.parse(await registry.line(/^{/)) as { url: string }).url);
}

/** The exit code of a health check, for a registry at another port. */
async function exitCodeOf([, ...args]: readonly string[], port: string): Promise<unknown> {
  const child = spawn(
    process.execPath,
    args.map((word) => word.replaceAll(':1337', `:${port}`)),
    { stdio: 'ignore', env: {} },
  );
  const [code] = (await once(child, 'exit')) as unknown[];
  return code;
}
