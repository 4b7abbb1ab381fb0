import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { endAll, launch } from '../process/launch.js';
import type { Child } from '../process/launch.js';
import { isFailed, load } from '../process/load.js';
import { waitFor } from '../process/wait-for.js';
import { block, withImports } from './readme.js';
import { compile } from './workshop.js';

const { nest12, folder } = inject('workshop');
const shop = join(nest12, 'shop');

/** The parts that the README leaves to its reader: a controller around its handler, and the server of `/buyers/7`. */
const ORDERS = `
@Controller()
class OrdersController {
  constructor(@Inject(Rollcall) private readonly rollcall: Rollcall) {}

${block('handler').replace('{ … }', '{ return { id: query.id, instance: this.rollcall.id }; }')}
}

${block('service')}`;
const GATEWAY = block('caller');
const USERS = `
@Controller('buyers')
class Buyers {
  @Get(':id')
  find(@Param('id') id: string) { return { id, name: 'Ada' }; }
}

@Module({ imports: [RollcallModule.forRoot({ service: 'users' })], controllers: [Buyers] })
class UsersModule {}

const app = await NestFactory.create(UsersModule);
await app.listen(0);
`;

let registry: { readonly url: string; readonly pid: number };

/** The README's line, on any free port, as 1337 may be in use. */
async function startRegistry(): Promise<void> {
  const [command = '', ...args] = block('up').trim().split(' ');
  const env = { npm_config_cache: join(folder, 'cache') };
  const child = launch(command, [...args, '--port', '0', '--json'], { cwd: shop, env });
  registry = JSON.parse(await child.line(/^{/)) as typeof registry;
}

function startInstance(...args: readonly string[]): Child {
  return launch(process.execPath, args, { cwd: shop, env: { ROLLCALL_URL: registry.url, PORT: '0' } });
}

/** Resolves with the last characters of its id. */
async function healthy(child: Child): Promise<string> {
  const line = await child.line(/ is HEALTHY/);
  return /…(\w+) is HEALTHY/.exec(line)?.[1] ?? line;
}

/** Nest does not print its address, but the registry knows it. */
async function urlOf(service: string): Promise<string> {
  const answer = await fetch(`${registry.url}/api/v1/services/${service}`);
  const { instances } = (await answer.json()) as { instances: { endpoints: { host: string; port: number }[] }[] };
  const [endpoint] = instances.flatMap(({ endpoints }) => endpoints);
  return `http://${endpoint?.host}:${endpoint?.port}`;
}

describe('the first ten minutes, from an empty folder', () => {
  beforeAll(async () => {
    await mkdir(join(shop, 'src'), { recursive: true });
    const files = { 'orders.ts': ORDERS, 'gateway.ts': GATEWAY, 'users.ts': USERS };
    await Promise.all(
      Object.entries(files).map(([name, text]) => writeFile(join(shop, 'src', name), withImports(text))),
    );
    await compile(shop, 'module');
    await startRegistry();
  });

  afterAll(async () => {
    process.kill(registry.pid, 'SIGTERM');
    await endAll();
  });

  it('installs what the README names, and nothing else', () => {
    const [npm, install, ...names] = block('install').trim().split(' ');
    expect([npm, install]).toEqual(['npm', 'install']);
    expect(names).toEqual(['@rollcall/nestjs', 'rollcall']);
  });

  it('an instance is killed under load, and no call fails', async () => {
    // one compiled, one run by tsx, which gives decorators no metadata
    const [killed, survivor] = [startInstance('dist/orders.js'), startInstance('--import', 'tsx', 'src/orders.ts')];
    const others = [startInstance('dist/users.js'), startInstance('dist/gateway.js')];
    const [killedId, survivorId] = await Promise.all([healthy(killed), healthy(survivor), ...others.map(healthy)]);
    const loading = load(await urlOf('gateway'), ['/orders/7', '/orders/7/buyer'], 80);
    const { replies } = loading;
    const answersOf = (id: string): number => replies.filter(({ instance }) => instance?.endsWith(id)).length;
    await waitFor('both have answered', () => answersOf(killedId) >= 10 && answersOf(survivorId) >= 10);

    killed.kill('SIGKILL');
    await killed.exited;
    const [dead, before] = [answersOf(killedId), replies.length];
    await waitFor('it went on', () => replies.length >= before + 150);
    await loading.stop();
    expect(replies.filter(isFailed)).toEqual([]);
    expect(answersOf(killedId) - dead).toBeLessThanOrEqual(2); // answers in flight
    expect(answersOf(survivorId)).toBeGreaterThan(80);
  });
});
