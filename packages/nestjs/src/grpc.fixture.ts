import { credentials, loadPackageDefinition, Metadata } from '@grpc/grpc-js';
import type { Client, ServiceError } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { Controller, Inject } from '@nestjs/common';
import type { INestMicroservice } from '@nestjs/common';
import { GrpcMethod, GrpcStreamMethod, RpcException, Transport } from '@nestjs/microservices';
import { concatMap, NEVER, of, toArray } from 'rxjs';
import type { Observable } from 'rxjs';
import { onTestFinished } from 'vitest';
import { Gate, microservice, createFixture } from './nest.fixture.js';
import type { Fixture } from './nest.fixture.js';
import type { RollcallModuleOptions } from './rollcall.module-definition.js';

const text = (id: number) => ({ type: 'string', id });
const order = { requestType: 'Order', responseType: 'Order', comment: '' };

/** The definitions of a proto file. */
export const SHOP = fromJSON({
  nested: {
    shop: {
      nested: {
        Order: { fields: { id: text(1), status: text(2) } },
        Orders: {
          methods: {
            Find: order,
            Slow: order,
            Fail: order,
            Follow: { ...order, responseStream: true },
            Gather: { ...order, requestStream: true },
          },
        },
      },
    },
  },
});

const HEALTH = fromJSON({
  nested: {
    'grpc.health.v1': {
      nested: {
        HealthCheckRequest: { fields: { service: text(1) } },
        HealthCheckResponse: { fields: { status: { type: 'int32', id: 1 } } },
        Health: {
          methods: { Check: { requestType: 'HealthCheckRequest', responseType: 'HealthCheckResponse', comment: '' } },
        },
      },
    },
  },
});

/** The request and the response of the client. */
export interface Order {
  readonly id: string;
  readonly status?: string;
}

@Controller()
class GrpcOrders {
  constructor(@Inject(Gate) private readonly gate: Gate) {}

  @GrpcMethod('Orders', 'Find')
  find({ id }: Order): Order {
    return { id, status: 'found' };
  }

  @GrpcMethod('Orders', 'Slow')
  async slow({ id }: Order): Promise<Order> {
    return { id, status: await this.gate.pass() };
  }

  @GrpcMethod('Orders', 'Fail')
  fail(): Order {
    throw new RpcException({ code: 5, message: 'no such order' });
  }

  @GrpcStreamMethod('Orders', 'Gather')
  gather(orders: Observable<Order>): Observable<Order> {
    this.gate.enter();
    const all = orders.pipe(toArray());
    return all.pipe(
      concatMap(async (each) => ({ id: each.map(({ id }) => id).join(), status: await this.gate.pass() })),
    );
  }

  @GrpcMethod('Orders', 'Follow')
  follow({ id }: Order): Observable<Order> {
    this.gate.enter();
    return id === 'for ever' ? NEVER : of({ id, status: 'one' }, { id, status: 'two' });
  }
}

export interface GrpcFixture extends Fixture {
  readonly app: INestMicroservice;
}

/** A Nest application that serves gRPC on the loopback interface, listening. */
export async function createGrpcFixture(options: RollcallModuleOptions = { service: 'orders' }): Promise<GrpcFixture> {
  const fixture = await createFixture(options, { controllers: [GrpcOrders] });
  const app = microservice(fixture, {
    transport: Transport.GRPC,
    options: { package: 'shop', packageDefinition: SHOP, url: '127.0.0.1:0' },
  });
  await app.listen();
  return { ...fixture, app };
}

export interface CallResult {
  readonly error: ServiceError | null;
  readonly value: unknown;
  /** The metadata of the response. */
  readonly head: Metadata | null;
}

/** Calls a method of a generated client. */
export function callClient(client: Client, method: string, message: object, metadata: Metadata): Promise<CallResult> {
  return new Promise((resolve) => {
    let head: Metadata | null = null;
    const settle = (error: ServiceError | null, value: unknown): void => resolve({ error, value, head });
    const call: any = Reflect.apply(Reflect.get(client, method), client, [message, metadata, settle]);
    call.on('metadata', (received: Metadata) => (head = received));
  });
}

export function metadataOf(entries: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(entries)) metadata.set(name, value);
  return metadata;
}

/** Clients as grpc-js generates them, each with its own connection. */
export function clientsOf(address: string): { readonly orders: Client; readonly health: Client } {
  const shop: any = loadPackageDefinition(SHOP);
  const standard: any = loadPackageDefinition(HEALTH);
  const options = { 'grpc.use_local_subchannel_pool': 1 };
  const orders: Client = new shop.shop.Orders(address, credentials.createInsecure(), options);
  const health: Client = new standard.grpc.health.v1.Health(address, credentials.createInsecure(), options);
  onTestFinished(() => {
    orders.close();
    health.close();
  });
  return { orders, health };
}
