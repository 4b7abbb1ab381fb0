import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, inject, it } from 'vitest';
import { manifestIn, ROOT } from './packages.js';
import { block, BLOCKS, CODES, withImports } from './readme.js';
import { run } from './run.js';
import { compile } from './workshop.js';

const { nest12 } = inject('workshop');
const book = join(nest12, 'book');

const REGISTRY = `
const registry = await startTestRegistry();
process.env['ROLLCALL_URL'] = registry.url;
`;

/** A service over HTTP, called by its name as a host. */
const DISPATCHER = `
@Controller('buyers')
class BuyersController {
  @Get(':id')
  find(@Param('id') id: string) { return { id, name: 'Ada' }; }
}

@Module({ imports: [RollcallModule.forRoot({ service: 'users' })], controllers: [BuyersController] })
class UsersModule {}

@Injectable()
class Buyers {
  constructor(@Inject(Rollcall) private readonly rollcall: Rollcall) {}

  async find(id: string) {
    const dispatcher = await this.rollcall.dispatcher();
    const { body } = await request(\`http://users/buyers/\${id}\`, { dispatcher }); // \`request\` and \`fetch\` of undici
    return body.json();
  }
}

@Module({ imports: [RollcallModule.forRoot()], providers: [Buyers] })
class CallerModule {}

${REGISTRY}
const users = await NestFactory.create(UsersModule);
await users.listen(0, '127.0.0.1');
const caller = await NestFactory.createApplicationContext(CallerModule);
await caller.get(Rollcall).ready('users');
console.log(JSON.stringify({ buyer: await caller.get(Buyers).find('7') }));
for (const one of [caller, users, registry]) await one.close();
`;

const PROTO = `
syntax = "proto3";
package shop;
service Orders { rpc find (Query) returns (Order); }
message Query { string id = 1; }
message Order { string id = 1; }
`;

/** Both ways to call a service over gRPC. */
const GRPC = `
const protoPath = ${JSON.stringify(join(book, 'shop.proto'))};

@Controller()
class OrdersController {
  @GrpcMethod('Orders', 'find')
  find({ id }: { id: string }) { return { id }; }
}

@Module({ imports: [RollcallModule.forRoot({ service: 'orders' })], controllers: [OrdersController] })
class OrdersModule {}

@Module({ imports: [RollcallModule.forRoot(), RollcallModule.forFeature(['orders'])] })
class CallerModule {}

${REGISTRY}
const server = await NestFactory.createMicroservice<MicroserviceOptions>(OrdersModule, {
  transport: Transport.GRPC,
  options: { package: 'shop', protoPath, url: '127.0.0.1:0' },
});
await server.listen();
const caller = await NestFactory.createApplicationContext(CallerModule);
const rollcall = caller.get(Rollcall);
const orders = caller.get<ServiceClient>(getServiceToken('orders'));
await orders.connect();

await rollcall.registerGrpcResolver(); // before such a client is made: after NestFactory.create, app.get(Rollcall)
const clients = ClientsModule.register([{ name: 'ORDERS', transport: Transport.GRPC, options: { url: 'rollcall:///orders', package: 'shop', protoPath } }]);

@Module({ imports: [clients] })
class ClientModule {}

const context = await NestFactory.createApplicationContext(ClientModule);
const client = context.get<ClientGrpc>('ORDERS').getService<{ find(query: object): Observable<object> }>('Orders');
const OrdersClient = (loadPackageDefinition(loadSync(protoPath)) as any).shop.Orders;

const order = await orders.grpc(OrdersClient.service.find, { id: '7' }, { idempotent: true }); // a ServiceClient

console.log(JSON.stringify({ byClient: await lastValueFrom(client.find({ id: '7' })), byCall: order }));
for (const one of [context, caller, server, registry]) await one.close();
`;

/** Without vitest and Jest: a minimal `expect`, as far as the block needs it. */
const FAKES = `
import { deepStrictEqual } from 'node:assert';

const expect = (received: any) => ({
  toEqual: (wanted: unknown) => deepStrictEqual(received, wanted),
  toBeNull: () => deepStrictEqual(received, null),
  toHaveLength: (wanted: number) => deepStrictEqual(received.length, wanted),
});

${block('caller').replace(/^const app = [^]*/m, '')}

import { fakeServices } from '@rollcall/nestjs/testing'; // Jest, vitest, node:test
const services = fakeServices({ orders: { find: ({ id }) => ({ id, total: 42 }) } });
const module = await services.applyTo(Test.createTestingModule({ imports: [GatewayModule] })).compile();
const gateway = module.get(OrdersGateway);
expect(await lastValueFrom(gateway.find('7'))).toEqual({ id: '7', total: 42 });

services.service('orders').addInstance(); // a second one …
services.service('orders').instances[0].fault({ kind: 'refuse' }); // … and nobody listens at the first
services.overrideService('orders', { find: () => null });
expect(await lastValueFrom(gateway.find('7'))).toBeNull();
expect(services.calls).toHaveLength(2);

await module.close();
console.log(JSON.stringify({ calls: services.calls.length }));
`;

/** Health indicator, metrics, and a listener for instance changes. */
const EXTRAS = `
import { register } from 'prom-client';
import { setTimeout as sleep } from 'node:timers/promises';

@Controller('ready')
class Ready {
  constructor(
    private readonly health: HealthCheckService,
    private readonly rollcall: RollcallHealthIndicator, // of @rollcall/nestjs/terminus
  ) {}

  @Get() @HealthCheck() check() { return this.health.check([() => this.rollcall.isHealthy('rollcall')]); }
}

@Injectable()
class Prices {
  readonly cache = new Map<string, number>(); // by instance

  @OnInstanceChange('orders') // came, went, state: on a method of any provider
  onOrders({ kind, instance }: InstanceChange) { if (kind === 'went') this.cache.delete(instance.id); }
}

@Module({
  imports: [RollcallModule.forRoot({ service: 'shop', meter: prometheusMeter(), tracing: otelTracing() }), TerminusModule],
  controllers: [Ready],
  providers: [Prices, RollcallHealthIndicator],
})
class ShopModule {}

@Module({ imports: [RollcallModule.forRoot({ service: 'orders' })] })
class OrdersModule {}

${REGISTRY}
const orders = await NestFactory.create(OrdersModule);
await orders.listen(0, '127.0.0.1');
const shop = await NestFactory.create(ShopModule);
await shop.listen(0, '127.0.0.1');
const { id } = orders.get(Rollcall);
const rollcall = shop.get(Rollcall);
while (!rollcall.service('orders').instances.some((one) => one.id === id)) await sleep(10);
const prices = shop.get(Prices);
prices.cache.set(id, 42);
const ready: any = await (await fetch((await shop.getUrl()) + '/ready')).json();
await orders.close();
while (prices.cache.size > 0) await sleep(10);
console.log(JSON.stringify({ ready: ready.status, isCounted: (await register.metrics()).includes('rollcall_') }));
for (const one of [shop, registry]) await one.close();
`;

const PROGRAMS = { dispatcher: DISPATCHER, grpc: GRPC, fakes: FAKES, extras: EXTRAS } as const;

/** Its final output, without the lines of Nest. */
async function resultOf(program: keyof typeof PROGRAMS): Promise<unknown> {
  const lines = await run(process.execPath, [join(book, 'dist', `${program}.js`)], book);
  return JSON.parse(lines.findLast((line) => line.startsWith('{')) ?? '');
}

describe('the code blocks of the README', () => {
  it('all run here, in the first ten minutes or from a fresh clone', async () => {
    const wanted = Object.values(BLOCKS);
    const unknown = CODES.filter((code) => wanted.filter((words) => code.includes(words)).length !== 1);
    expect(unknown).toEqual([]);
    expect(CODES).toHaveLength(wanted.length);
    const files = ['readme.test.ts', 'first-ten-minutes.test.ts', 'clone.test.ts'].map((name) =>
      join(ROOT, 'e2e', 'packages', name),
    );
    const tests = (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('\n');
    expect(Object.keys(BLOCKS).filter((name) => !tests.includes(`block('${name}')`))).toEqual([]);
  });

  it('name existing scripts', () => {
    const scripts = block('scripts').match(/^npm (?:run )?(\w+)/gm);
    expect(scripts).toHaveLength(2);
    for (const line of scripts ?? []) expect(manifestIn(ROOT).scripts).toHaveProperty(line.split(' ').at(-1) ?? '');
  });
});

describe('an application with all packages of the README', () => {
  beforeAll(async () => {
    await mkdir(join(book, 'src'), { recursive: true });
    await writeFile(join(book, 'shop.proto'), PROTO);
    await Promise.all(
      Object.entries(PROGRAMS).map(([name, text]) => writeFile(join(book, 'src', `${name}.ts`), withImports(text))),
    );
    await compile(book, 'module');
  });

  it('calls a service by its name as a host', async () => {
    expect(await resultOf('dispatcher')).toEqual({ buyer: { id: '7', name: 'Ada' } });
  });

  it('calls a service over gRPC, with an existing client and with a Rollcall call', async () => {
    expect(await resultOf('grpc')).toEqual({ byClient: { id: '7' }, byCall: { id: '7' } });
  });

  it('tests with fakes', async () => {
    expect(await resultOf('fakes')).toEqual({ calls: 2 });
  });

  it('reports readiness, serves metrics, and is notified when an instance leaves', async () => {
    expect(await resultOf('extras')).toEqual({ ready: 'ok', isCounted: true });
  });
});
