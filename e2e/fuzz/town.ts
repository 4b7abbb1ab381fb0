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
import { openDoor } from './door.js';

const HONEST = 20;
const INTERVAL_MS = 500;
/** Forty intervals: for a machine that is busy with other things. */
const MOST_HEALING_MS = 40 * INTERVAL_MS;

/** A registry, a Nest service that is called over TCP and HTTP, and instances that do nothing but beat: twenty in all. */
export interface Town {
  readonly registryPort: number;
  readonly tcpPort: number;
  readonly httpPort: number;
  /** One of the instances. */
  readonly honestId: string;
  /** What the registry thinks of each instance; GONE where it does not know it any more. */
  states(): Promise<readonly (readonly [id: string, state: string])[]>;
  /** Waits until each has been HEALTHY once from now on: those that were not in time, in words. */
  unhealthy(): Promise<readonly string[]>;
  close(): Promise<void>;
}

interface Resident {
  readonly id: string;
  close(): Promise<void>;
}

export async function openTown(): Promise<Town> {
  const registry = await startTestRegistry({ intervalMs: INTERVAL_MS });
  const nest = await openNest(registry.url);
  const residents: Resident[] = [nest];
  residents.push(...(await Promise.all(Array.from({ length: HONEST - 1 }, () => openMember(registry.url)))));
  const states = async (): Promise<readonly (readonly [id: string, state: string])[]> => {
    const known = await statesAt(registry.url);
    return residents.map(({ id }) => [id, known.get(id) ?? 'GONE'] as const);
  };
  const unhealthy = async (): Promise<readonly string[]> => {
    const until = performance.now() + MOST_HEALING_MS;
    const waiting = new Map(residents.map(({ id }) => [id, 'GONE']));
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
  if (late.length > 0) throw new Error(`Before anybody came: ${late.join(', ')}.`);
  const { tcpPort, httpPort } = nest;
  return {
    registryPort: registry.port,
    tcpPort,
    httpPort,
    honestId: residents.at(-1)?.id ?? '',
    states,
    unhealthy,
    async close() {
      await Promise.all(residents.map((resident) => resident.close()));
      await registry.close();
    },
  };
}

/** As the registry tells anyone who asks. */
async function statesAt(url: string): Promise<ReadonlyMap<string, string>> {
  const states = new Map<string, string>();
  for (const service of ['honest', 'stock']) {
    const answer = await fetch(`${url}/api/v1/services/${service}`, { headers: { connection: 'close' } });
    const { instances = [] } = (await answer.json()) as { instances?: { id: string; state: string }[] };
    for (const { id, state } of instances) states.set(id, state);
  }
  return states;
}

async function openMember(url: string): Promise<Resident> {
  const member = new Member({ registry: url, service: 'honest' });
  const { close } = await openDoor(member);
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

async function openNest(url: string): Promise<Resident & { readonly tcpPort: number; readonly httpPort: number }> {
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
