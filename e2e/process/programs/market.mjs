// A Nest service over gRPC with a method of each shape. SERVICE is its name. `Find` is idempotent, and takes so long
// that a killed instance has several of them in flight.
import 'reflect-metadata';
import { setTimeout as pass } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GrpcMethod, GrpcStreamMethod, Transport } from '@nestjs/microservices';
import { Idempotent, Rollcall, RollcallModule } from '@rollcall/nestjs';
import { concatMap, map, of, reduce } from 'rxjs';

const FIND_MS = 100;

class OrdersController {
  constructor(rollcall) {
    this.instance = rollcall.id;
  }

  async find({ id }) {
    await pass(FIND_MS);
    return { id, instance: this.instance };
  }

  follow({ id }) {
    return of(1, 2, 3).pipe(concatMap(async (n) => ({ id: `${id}-${n}`, instance: this.instance })));
  }

  gather(queries) {
    return queries.pipe(
      reduce((ids, { id }) => [...ids, id], []),
      map((ids) => ({ id: ids.join('+'), instance: this.instance })),
    );
  }

  chat(queries) {
    return queries.pipe(map(({ id }) => ({ id: `${id}!`, instance: this.instance })));
  }
}

/** Applies decorators, as plain Node has no syntax for them. */
function decorate(name, ...decorators) {
  const { prototype } = OrdersController;
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
  for (const one of decorators) one(prototype, name, descriptor);
  Object.defineProperty(prototype, name, descriptor);
}
decorate('find', GrpcMethod('OrdersService', 'Find'), Idempotent());
decorate('follow', GrpcMethod('OrdersService', 'Follow'));
decorate('gather', GrpcStreamMethod('OrdersService', 'Gather'));
decorate('chat', GrpcStreamMethod('OrdersService', 'Chat'));
Reflect.defineMetadata('design:paramtypes', [Rollcall], OrdersController);
Controller()(OrdersController);

// oxlint-disable-next-line typescript/no-extraneous-class -- to Nest, a module is a class
class AppModule {}
Module({
  imports: [RollcallModule.forRoot({ service: process.env.SERVICE, metadata: { pid: String(process.pid) } })],
  controllers: [OrdersController],
})(AppModule);

const app = await NestFactory.createMicroservice(AppModule, {
  transport: Transport.GRPC,
  options: {
    package: 'market.v1',
    protoPath: fileURLToPath(new URL('market.proto', import.meta.url)),
    url: '127.0.0.1:0',
  },
  logger: ['error'],
});
app.enableShutdownHooks(['SIGTERM']);
await app.listen();
console.log('listening');
