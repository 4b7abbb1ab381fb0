/* eslint-disable no-restricted-imports -- the only test of this package with a real Nest server */
import 'reflect-metadata';
import { Controller, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, MessagePattern, Payload, RpcException, TcpContext, Transport } from '@nestjs/microservices';
import type { Server } from '@nestjs/microservices';
import { HEARTBEAT_PATTERN, systemTime } from '@rollcall/core';
import { Observable, of } from 'rxjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tcpRequest } from './message.js';
import type { TcpRequest } from './message.js';
import { TcpTransport } from './tcp.js';
import { RecordingSink, targetOf, TERMS } from '../transport.fixture.js';
import type { Settled } from '../transport.fixture.js';
import type { Channel } from '../transport.js';

const events: unknown[] = [];

@Controller()
class Orders {
  @MessagePattern('find')
  find(@Payload() query: { id: string }): object {
    return { id: query.id, name: 'Ⓝest' };
  }

  @MessagePattern({ cmd: 'all' })
  all(): Observable<number> {
    return of(1, 2, 3);
  }

  @MessagePattern('nothing')
  nothing(): Observable<never> {
    return of();
  }

  @MessagePattern('fail')
  fail(): never {
    throw new RpcException({ status: 404, message: 'no order found' });
  }

  @MessagePattern('crash')
  crash(): never {
    throw new Error('a bug');
  }

  @MessagePattern('hang-up')
  hangUp(@Ctx() context: TcpContext): Promise<never> {
    context.getSocketRef().netSocket.destroy();
    return new Promise(() => {});
  }

  @EventPattern('placed')
  placed(@Payload() data: unknown): void {
    events.push(data);
  }
}

@Module({ controllers: [Orders] })
class AppModule {}

/** A channel to a Nest microservice, unmodified except for its identity, if one is given. */
async function nest(identity: string | null): Promise<Channel<TcpRequest>> {
  const app = await NestFactory.createMicroservice(AppModule, {
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
    logger: false,
  });
  const server: Server = Reflect.get(app, 'serverInstance');
  if (identity !== null) server.addHandler(HEARTBEAT_PATTERN, async () => ({ instance: identity, nonce: null }));
  await app.listen();
  const { port } = server.unwrap<{ address(): { port: number } }>().address();
  const options = {
    connections: 1,
    connectTimeoutMs: 5_000,
    maxMessageLength: 1_000_000,
    maxBufferedBytes: 1_000_000,
  };
  const transport = new TcpTransport(systemTime, options);
  onTestFinished(async () => {
    await transport.close();
    await app.close();
  });
  return transport.channel(targetOf({ port, protocol: 'tcp' }, identity === null ? 'api' : 'native'));
}

function ask(channel: Channel<TcpRequest>, pattern: unknown, data: unknown = {}, isEvent = false): Promise<Settled> {
  const sink = new RecordingSink();
  channel.send(tcpRequest(pattern, data, isEvent), TERMS, sink);
  return sink.settled;
}

describe('an unmodified Nest microservice', () => {
  it('answers messages, by string and by object patterns, with one value, several, or none', async () => {
    const channel = await nest(null);
    const answers = [ask(channel, 'find', { id: '7' }), ask(channel, { cmd: 'all' }), ask(channel, 'nothing')];
    expect(await Promise.all(answers)).toEqual([
      { values: [{ id: '7', name: 'Ⓝest' }], failure: null },
      { values: [1, 2, 3], failure: null },
      { values: [], failure: null },
    ]);
  });

  it('takes events', async () => {
    const channel = await nest(null);
    expect((await ask(channel, 'placed', { id: 1 }, true)).failure).toBeNull();
    await expect.poll(() => events).toEqual([{ id: 1 }]);
  });

  it('distinguishes errors from failures: an exception, a bug, an unknown pattern', async () => {
    const channel = await nest(null);
    const [refused, crashed, unknown] = await Promise.all([
      ask(channel, 'fail'),
      ask(channel, 'crash'),
      ask(channel, 'x'),
    ]);
    expect(refused?.failure).toEqual({ kind: 'remote', cause: { status: 404, message: 'no order found' } });
    expect(crashed?.failure).toEqual({ kind: 'remote', cause: { status: 'error', message: 'Internal server error' } });
    expect(unknown?.failure?.kind).toBe('remote');
    expect(String(unknown?.failure?.cause)).toContain('no matching message handler');
  });

  it('is called once it identifies itself, and never if it is another instance or has no identity', async () => {
    expect((await ask(await nest('orders-1'), 'find', { id: '7' })).failure).toBeNull();
    expect((await ask(await nest('orders-2'), 'find', { id: '7' })).failure?.kind).toBe('misdirected');
    const channel = await nest(null);
    expect((await ask(channel, 'find', { id: '7' })).failure).toBeNull();
  });

  it('fails the calls on a connection that it breaks, and serves the next call on another one', async () => {
    const channel = await nest('orders-1');
    expect((await ask(channel, 'hang-up')).failure?.kind).toBe('closed');
    expect((await ask(channel, 'find', { id: '7' })).failure).toBeNull();
  });
});
