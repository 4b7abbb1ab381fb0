import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { Controller, Get, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MessagePattern, Payload, Transport } from '@nestjs/microservices';
import type { MicroserviceOptions } from '@nestjs/microservices';
import { Rollcall as Member } from '@rollcall/client';
import { Rollcall, RollcallModule } from '@rollcall/nestjs';
import { startTestRegistry } from '@rollcall/registry/testing';
import { openService } from './service.js';

const INSTANCES = 20;
const INTERVAL_MS = 500;
/** Forty intervals: for a busy machine. */
const MAX_HEALING_MS = 40 * INTERVAL_MS;

/** A registry, a Nest service over TCP and HTTP, and instances that only beat: twenty in all. */
export interface TestFleet {
  readonly registryPort: number;
  readonly tcpPort: number;
  readonly httpPort: number;
  /** One of the instances. */
  readonly honestId: string;
  /** The registry's state of each instance; GONE where it no longer knows it. */
  states(): Promise<readonly (readonly [id: string, state: string])[]>;
  /** Waits until each has been HEALTHY once from now on; resolves with descriptions of those that were not in time. */
  findUnhealthy(): Promise<readonly string[]>;
  close(): Promise<void>;
}

interface FleetMember {
  readonly id: string;
  close(): Promise<void>;
}

export async function openTestFleet(): Promise<TestFleet> {
  const registry = await startTestRegistry({ intervalMs: INTERVAL_MS });
  const nest = await openNest(registry.url);
  const members: FleetMember[] = [nest];
  members.push(...(await Promise.all(Array.from({ length: INSTANCES - 1 }, () => openMember(registry.url)))));
  const states = async (): Promise<readonly (readonly [id: string, state: string])[]> => {
    const known = await fetchStates(registry.url);
    return members.map(({ id }) => [id, known.get(id) ?? 'GONE'] as const);
  };
  const unhealthy = async (): Promise<readonly string[]> => {
    const until = performance.now() + MAX_HEALING_MS;
    const waiting = new Map(members.map(({ id }) => [id, 'GONE']));
    while (waiting.size > 0 && performance.now() < until) {
      for (const [id, state] of await states()) {
        if (state === 'HEALTHY') waiting.delete(id);
        else if (waiting.has(id)) waiting.set(id, state);
      }
      await pause(50);
    }
    return [...waiting].map(([id, state]) => `${id} is ${state}`);
  };
  const late = await unhealthy();
  if (late.length > 0) throw new Error(`Before the attack: ${late.join(', ')}.`);
  const { tcpPort, httpPort } = nest;
  return {
    registryPort: registry.port,
    tcpPort,
    httpPort,
    honestId: members.at(-1)?.id ?? '',
    states,
    findUnhealthy: unhealthy,
    async close() {
      await Promise.all(members.map((member) => member.close()));
      await registry.close();
    },
  };
}

/** From the public list of the registry. */
async function fetchStates(url: string): Promise<ReadonlyMap<string, string>> {
  const states = new Map<string, string>();
  for (const service of ['honest', 'stock']) {
    const answer = await fetch(`${url}/api/v1/services/${service}`, { headers: { connection: 'close' } });
    const { instances = [] } = (await answer.json()) as { instances?: { id: string; state: string }[] };
    for (const { id, state } of instances) states.set(id, state);
  }
  return states;
}

async function openMember(url: string): Promise<FleetMember> {
  const member = new Member({ registry: url, service: 'honest' });
  const { close } = await openService(member);
  return { id: member.id, close };
}

const portOf = (server: Pick<Server, 'address'>): number => (server.address() as AddressInfo).port;

@Controller('stock')
class StockController {
  @Get(':id')
  find(@Param('id') id: string): object {
    return { id };
  }

  @MessagePattern('count')
  count(@Payload() data: unknown): object {
    return { count: 3, data };
  }
}

async function openNest(url: string): Promise<FleetMember & { readonly tcpPort: number; readonly httpPort: number }> {
  @Module({
    imports: [RollcallModule.forRoot({ registry: url, service: 'stock' })],
    controllers: [StockController],
  })
  class StockModule {}
  const app = await NestFactory.create(StockModule, { logger: false });
  const micro = app.connectMicroservice<MicroserviceOptions>({
    transport: Transport.TCP,
    options: { host: '127.0.0.1', port: 0 },
  });
  await app.startAllMicroservices();
  await app.listen(0, '127.0.0.1');
  return {
    id: app.get(Rollcall).id,
    tcpPort: portOf(micro.unwrap<Server>()),
    httpPort: portOf(app.getHttpServer() as Server),
    close: () => app.close(),
  };
}
