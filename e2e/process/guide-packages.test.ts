// The regions here are the code of the READMEs of the packages.
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Rollcall } from '@rollcall/client';
import { isCallable, registrationMessage } from '@rollcall/core';
import { RollcallModule } from '@rollcall/nestjs';
import { startRegistry } from '@rollcall/registry';
import { startTestRegistry } from '@rollcall/registry/testing';
import { expect, it, onTestFinished } from 'vitest';

@Controller('orders')
class OrdersController {
  @Get(':id')
  find(@Param('id') id: string): { id: string } {
    return { id };
  }
}

it('the README of @rollcall/client', async () => {
  const running = await startTestRegistry();
  const registry = running.url;
  onTestFinished(() => running.close());
  @Module({ imports: [RollcallModule.forRoot({ service: 'orders', registry })], controllers: [OrdersController] })
  class OrdersModule {}
  const app = await NestFactory.create(OrdersModule, { logger: false });
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');

  // #region client
  const rollcall = new Rollcall({ registry }); // default: ROLLCALL_URL is not read here; http://127.0.0.1:1337
  await rollcall.ready('orders'); // there is a copy of who is there

  const answer = await rollcall.fetch('orders', '/orders/7', {}, { deadlineMs: 800 });
  const order: unknown = await answer.json();

  for (const { id, state, reason } of rollcall.service('orders').instances) console.log(id, state, reason.text);
  await rollcall.close();
  // #endregion
  expect(order).toEqual({ id: '7' });
});

it('the README of @rollcall/core', () => {
  const received: unknown = { service: 'orders', endpoints: [{ protocol: 'tcp', port: 'many' }] };

  // #region core
  const read = registrationMessage.parse(received); // what came over the wire
  if (!read.ok) for (const { path, received: got, allowed } of read.problem) console.error(path, got, allowed);

  isCallable({ state: 'CRITICAL', admin: 'ENABLED' }); // false: callers do not call it
  // #endregion
  expect(read.ok ? [] : read.problem.map(({ path }) => path)).toContain('endpoints[0].port');
});

it('the README of @rollcall/registry', async () => {
  // #region registry
  const registry = await startRegistry({ port: 0, preset: 'fast' }); // any free port, in memory
  const health = await fetch(`${registry.url}/health/ready`);
  console.log(registry.url, health.status);
  await registry.close();
  // #endregion
  expect(health.status).toBe(200);
  await expect(fetch(registry.url)).rejects.toThrow();
});
