import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { SHOP } from '../grpc.fixture.js';
import { readGrpc } from './grpc-proto.js';
import type { GrpcFeature } from './grpc-proto.js';

const folder = mkdtempSync(join(tmpdir(), 'rollcall-proto-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `syntax = "proto3";\n${text}`);
  return path;
}

const MESSAGE = 'message Thing { string thing_name = 1; }';
const users = fileOf(
  'users.proto',
  `package users.v1;
   service UsersService {
     rpc FindOne (Thing) returns (Thing) { option idempotency_level = NO_SIDE_EFFECTS; }
     rpc Watch (Thing) returns (stream Thing);
   }
   ${MESSAGE}`,
);
const bills = fileOf('bills.proto', `package bills; service Bills { rpc Pay (Thing) returns (Thing); } ${MESSAGE}`);
const versions = ['v1', 'v2'].map((version) =>
  fileOf(
    `orders-${version}.proto`,
    `package orders.${version}; service Orders { rpc Find (Thing) returns (Thing); } ${MESSAGE}`,
  ),
);
const bare = fileOf('bare.proto', `service Bare { rpc Go (Thing) returns (Thing); } ${MESSAGE}`);

const missing = () => Promise.reject(new Error("Cannot find package '@grpc/proto-loader'"));

const read = (feature: object) => readGrpc('users', feature as GrpcFeature);

/** A message as the proto's method decodes it. */
const coded = async (loader?: object) => {
  const method = (await read({ package: 'users.v1', protoPath: users, loader }))
    .methodsOf('UsersService')
    .get('FindOne');
  return method?.responseDeserialize(Buffer.from([10, 1, 97]));
};

describe('the proto of a service', () => {
  it('is read from its file, with each method under the name it has there and in camel case', async () => {
    const services = await read({ package: 'users.v1', protoPath: users });
    const methods = services.methodsOf('UsersService');
    expect([...methods.keys()].toSorted()).toEqual(['FindOne', 'Watch', 'findOne', 'watch']);
    expect(methods.get('findOne')).toMatchObject({
      path: '/users.v1.UsersService/FindOne',
      responseStream: false,
      options: { idempotency_level: 'NO_SIDE_EFFECTS' },
    });
    expect(methods.get('watch')).toMatchObject({ responseStream: true });
  });

  it('may be in several files and packages, or have no package', async () => {
    const services = await read({ package: ['users.v1', 'bills', ''], protoPath: [users, bills, bare] });
    const paths = ['UsersService', 'Bills', 'Bare'].map((name) => [...services.methodsOf(name).values()][0]?.path);
    expect(paths).toEqual(['/users.v1.UsersService/FindOne', '/bills.Bills/Pay', '/Bare/Go']);
  });

  it('may have services of one name in two packages: their full names distinguish them', async () => {
    const services = await read({ package: ['orders.v1', 'orders.v2', 'bills'], protoPath: [...versions, bills] });
    const pathOf = (name: string) => services.methodsOf(name).get('find')?.path;
    expect([pathOf('orders.v1.Orders'), pathOf('orders.v2.Orders')]).toEqual([
      '/orders.v1.Orders/Find',
      '/orders.v2.Orders/Find',
    ]);
    expect(services.methodsOf('bills.Bills')).toBe(services.methodsOf('Bills'));
    expect(() => services.methodsOf('Orders')).toThrow(
      'The proto of users has several services Orders: write orders.v1.Orders or orders.v2.Orders.',
    );
    expect(() => services.methodsOf('Order')).toThrow('it has Bills, orders.v1.Orders, orders.v2.Orders.');
    expect(() => services.methodsOf('orders.v3.Orders')).toThrow('Did you mean orders.v');
  });

  it('has the services of the named packages, and no others', async () => {
    const services = await read({ package: ['orders.v2', 'orders.v2'], protoPath: versions });
    expect(services.methodsOf('Orders').get('find')?.path).toBe('/orders.v2.Orders/Find');
    expect(() => services.methodsOf('orders.v1.Orders')).toThrow('no service orders.v1.Orders in orders.v2');
  });

  it('is read with the options of proto-loader', async () => {
    expect([await coded(), await coded({ keepCase: true })]).toEqual([{ thingName: 'a' }, { thing_name: 'a' }]);
  });

  it('may be loaded already', async () => {
    const services = await read({ package: 'shop', packageDefinition: SHOP });
    expect(services.methodsOf('Orders').get('find')).toMatchObject({ path: '/shop.Orders/Find' });
  });
});

describe('an invalid proto', () => {
  it.each([
    ['has no such package', { package: 'users.v2', protoPath: users }, 'Did you mean users.v1?'],
    ['has no service at all', { package: 'a', packageDefinition: {} }, 'no service at all'],
    ['is not there', { package: 'a', protoPath: join(folder, 'none.proto') }, 'none.proto'],
    ['is no proto', { package: 'a', protoPath: fileOf('odd.proto', 'seriuce A {}') }, 'seriuce'],
    ['is not named', { package: 'users.v1' }, 'Either protoPath or packageDefinition'],
    [
      'is named twice',
      { package: 'a', protoPath: users, packageDefinition: SHOP },
      'Either protoPath or packageDefinition',
    ],
    ['has no package', { protoPath: users }, 'package is missing'],
    ['is misspelt', { package: 'a', protopath: users }, 'Did you mean protoPath?'],
  ])('%s: the error says so, and what to do', async (_what, feature, advice) => {
    await expect(read(feature)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining(advice),
    });
    await expect(read(feature)).rejects.toThrow('users');
  });

  it('has no service of that name: the error lists the existing ones', async () => {
    const services = await read({ package: 'users.v1', protoPath: users });
    expect(() => services.methodsOf('UserService')).toThrow(
      'The proto of users has no service UserService in users.v1: it has UsersService. Did you mean UsersService?',
    );
    expect(() => services.methodsOf('users.v1.Thing')).toThrow('no service users.v1.Thing');
  });

  it('cannot be read without proto-loader: the error says what to install', async () => {
    const services = readGrpc('users', { package: 'users.v1', protoPath: users }, missing);
    await expect(services).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(services).rejects.toThrow('npm install @grpc/proto-loader');
  });
});
