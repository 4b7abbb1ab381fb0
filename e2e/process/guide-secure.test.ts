// The commands of docs/guide/secure.md run here, line by line and from an empty folder; its code is in the regions here.
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, unwatchFile, watchFile } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { SecureContextOptions, Server } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { experimental } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { Controller, Get, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, MessagePattern, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { Certificates, fingerprintOf } from './certificates.js';
import { launch } from './launch.js';
import type { Child } from './launch.js';
import { PROGRAMS } from './spawn.js';
import { waitFor } from './wait-for.js';

const home = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'rollcall-secure-'));
const open: { close(): Promise<unknown> }[] = [];

/** The blocks of commands by heading. */
const blocks = new Map<string, string[][]>();
for (const part of readFileSync(join(home, 'docs/guide/secure.md'), 'utf8').split(/^## /m)) {
  const found = [...part.matchAll(/```sh\n([\s\S]*?)\n```/g)].map(([, text = '']) => text.split('\n'));
  blocks.set(part.slice(0, part.indexOf('\n')), found);
}

/** The real port of the registry, which replaces the one of the page. */
let port = '1337';
const url = (): string => `https://localhost:${port}`;

/** Types a line of the page with the port replaced; `up` gets any free one. */
function type(line: string): Child {
  const text = line.replace(':1337', `:${port}`);
  const [program = '', ...args] = text.split(' ');
  // so that ending it ends the program, not a shell around it
  if (program !== 'npx') return launch('sh', ['-c', `exec env ${text}`], { cwd: folder, env: { PORT: '0' } });
  const more = args.includes('up') ? ['--port', '0', '--json', '--memory', '--interval', '500'] : [];
  return launch(process.execPath, [PROGRAMS.rollcall, ...args.slice(1), ...more], { cwd: folder });
}

async function done(child: Child): Promise<string> {
  const { code } = await child.exited;
  if (code !== 0) throw new Error([...child.out, ...child.err].join('\n'));
  return child.out.join('\n');
}

/** The complaint of `ls` to a client with this certificate; empty: none. */
async function complaintTo(name: string): Promise<string> {
  const files = ['--ca-file', 'ca.pem', '--cert-file', `${name}.pem`, '--key-file', `${name}.key`];
  const child = launch(process.execPath, [PROGRAMS.rollcall, 'ls', '--url', url(), ...files], { cwd: folder });
  const { code } = await child.exited;
  return code === 0 ? '' : child.err.join('\n');
}

/** Follows the section on a leaked key, at a registry of its own, which has a revocation list. */
async function followLeak(): Promise<void> {
  const [first = [], next = []] = blocks.get('A key that has leaked') ?? [];
  for (const line of first.slice(0, -1)) await done(type(line));
  const registry = type(first.at(-1) ?? '');
  closing(registry);
  const before = port;
  port = new URL((JSON.parse(await registry.line(/^{/)) as { url: string }).url).port;
  expect(await complaintTo('orders')).toBe('');
  for (const line of next) await done(type(line));
  await waitFor('the certificate is refused', async () => /it was revoked/.test(await complaintTo('orders')));
  expect(await complaintTo('ada')).toBe('');
  port = before;
}

/** Types everything under a heading (or only one of its blocks). Resolves with the output of the last line. */
async function follow(heading: string, only?: number): Promise<string> {
  const all = blocks.get(heading) ?? [];
  let output = '';
  for (const line of (only === undefined ? all : all.slice(only, only + 1)).flat()) output = await done(type(line));
  if (all.length === 0) throw new Error(`There is nothing to type under "${heading}".`);
  return output;
}

afterAll(async () => {
  for (const one of open.splice(0).toReversed()) await one.close();
  rmSync(folder, { recursive: true });
});

function closing(child: Child): void {
  open.push({ close: () => (child.kill('SIGKILL'), child.exited) });
}

describe('the page on TLS to the registry, from nothing', () => {
  it('a registry, a service and a person communicate over mTLS, and continue with new certificates and a new CA', async () => {
    symlinkSync(join(home, 'examples'), join(folder, 'examples'));
    await follow('1. A CA of your own');
    const [request = '', sign = '', up = ''] = (blocks.get('2. The registry') ?? []).flat();
    for (const line of [request, sign]) await done(type(line));
    const registry = type(up);
    closing(registry);
    port = new URL((JSON.parse(await registry.line(/^{/)) as { url: string }).url).port;
    await follow('3. A certificate for each service');
    const service = type((blocks.get('4. The services') ?? []).flat()[0] ?? '');
    closing(service);
    const isHealthy = async (): Promise<boolean> => /HEALTHY +yes +orders/.test(await follow('5. Look'));
    await waitFor('orders is HEALTHY', isHealthy);

    await followLeak();
    await follow('A new certificate');
    await waitFor('it is used', async () =>
      service.out.concat(service.err).some((line) => line.includes('will be used from now on')),
    );
    await follow('A new CA', 0);
    for (const file of ['ca-1.pem', 'ada.pem', 'ada.key'])
      copyFileSync(join(folder, file), join(folder, `old-${file}`));
    await follow('A new CA', 1);
    await follow('A new CA', 2);
    await waitFor('certificates of the old CA are refused', async () =>
      /Certificate cert:\w+ is not trusted/.test(await complaintTo('old-ada')),
    );
    await waitFor('orders is HEALTHY', isHealthy);
  });
});

const made = new Certificates();
const ORDERS = { names: ['URI:rollcall:service:orders'] };
afterAll(() => made.remove());

const packageDefinition = fromJSON(
  JSON.parse(readFileSync(new URL('programs/shop.json', import.meta.url), 'utf8')) as object,
);

@Controller()
class OrdersController {
  @MessagePattern('find')
  @GrpcMethod('Orders', 'Find')
  @Get('find')
  find(): object {
    return { found: true };
  }
}

// #region follow
/** Gives a TLS server its certificates again when one of the files has changed. */
function followFiles(server: Server, files: readonly string[], read: () => SecureContextOptions): void {
  const renew = (): void => {
    try {
      server.setSecureContext(read());
    } catch (error) {
      console.warn(`The last certificate stays in use: ${String(error)}`); // its key comes with the next change
    }
  };
  for (const file of files) watchFile(file, { interval: 1_000, persistent: false }, renew);
  server.once('close', () => files.forEach((file) => unwatchFile(file, renew)));
}
// #endregion

/** The certificate that a new connection gets. */
async function fingerprintAt(at: number): Promise<string | undefined> {
  const socket = connect({ host: '127.0.0.1', port: at, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] });
  await once(socket, 'secureConnect');
  const shown = socket.getPeerX509Certificate()?.fingerprint256;
  socket.destroy();
  return shown;
}

describe('the servers of services', () => {
  it('serve a new certificate as soon as it is there', async () => {
    const ca = await made.createAuthority('ca');
    const { certFile, keyFile } = made.install(await made.createSigned(ca, ORDERS), 'orders');
    const caFile = ca.certFile;
    const own = { ...(await made.createSigned(ca)), caFile };
    const running = await startTestRegistry({ tls: own, heartbeatTls: own });
    open.push(running);
    const registry = running.url;
    // #region options
    const root = RollcallModule.forRoot({ service: 'orders', registry, registryTls: { caFile, certFile, keyFile } });
    // #endregion
    @Module({ imports: [root], controllers: [OrdersController] })
    class OrdersModule {}
    const [host, logger] = ['127.0.0.1', false as const];

    // #region servers
    const terms = () => ({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
    const overTcp = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
      transport: Transport.TCP,
      options: { host, port: 0, tlsOptions: terms() },
      logger,
    });
    await overTcp.listen();
    followFiles(overTcp.unwrap<Server>(), [certFile, keyFile], terms);

    const overHttp = await NestFactory.create(OrdersModule, { httpsOptions: terms(), logger });
    await overHttp.listen(0, host);
    followFiles(overHttp.getHttpServer(), [certFile, keyFile], terms);
    // #endregion

    // #region grpc
    const refreshIntervalMs = 1_000;
    const files = { certificateFile: certFile, privateKeyFile: keyFile, caCertificateFile: caFile, refreshIntervalMs };
    const provider = new experimental.FileWatcherCertificateProvider(files);
    const credentials = experimental.createCertificateProviderServerCredentials(provider, provider, false); // true: asks for client certificates
    // #endregion
    const overGrpc = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
      transport: Transport.GRPC,
      options: { package: 'shop', packageDefinition, url: `${host}:0`, credentials },
      logger,
    });
    await overGrpc.listen();

    for (const app of [overTcp, overHttp, overGrpc]) open.push(app);
    const reader = new Rollcall({ registry, registryTls: { caFile, certFile, keyFile } });
    open.push(reader);
    const areHealthy = async (): Promise<boolean> => {
      const states = (await reader.instances('orders')).map(({ state }) => state);
      return states.filter((state) => state === 'HEALTHY').length === 3;
    };
    const showIt = async (): Promise<boolean> => {
      const ports = (await reader.instances('orders')).flatMap(({ endpoints }) => endpoints.map((one) => one.port));
      const shown = await Promise.all(ports.map(fingerprintAt));
      return shown.length === 3 && shown.every((one) => one === fingerprintOf({ certFile, keyFile }));
    };
    await waitFor('all are HEALTHY', areHealthy);
    await waitFor('all show the first one', showIt);
    made.install(await made.createSigned(ca, ORDERS), 'orders');
    await waitFor('all show the next one', showIt);
    expect(await areHealthy()).toBe(true);
  });
});
