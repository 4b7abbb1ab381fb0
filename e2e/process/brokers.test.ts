import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { ClientProxyFactory, Transport } from '@nestjs/microservices';
import type { ClientProxy } from '@nestjs/microservices';
import { Rollcall } from '@rollcall/client';
import { lastValueFrom, timeout } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { variants } from '../variants.js';
import { BROKERS, programOf, startBroker } from './brokers.js';
import type { Broker } from './brokers.js';
import { startRegistry, urlOf } from './plain-requests.js';
import { OpenLoop } from './open-loop.js';
import type { Verb } from './open-loop.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';

/** Requests per second, and events (`book`), which have no reply. */
const RATES = { find: 150, book: 50 };
const CALLS_BEFORE_DRAIN = 100;
/** A broker does not report that no client subscribes: a request without an answer is lost. */
const LOST_MS = 5_000;
const INTERVAL_MS = 500;

const folder = mkdtempSync(join(tmpdir(), 'rollcall-brokers-'));
const notes = join(folder, 'notes');
let url = '';
let rollcall: Rollcall;

beforeAll(async () => {
  Logger.overrideLogger(['error']); // every instance answers each request, and the client logs all but the first answer
  writeFileSync(notes, '');
  url = await urlOf(startRegistry(INTERVAL_MS, ['--memory']));
  rollcall = new Rollcall({ registry: url });
  rollcall.start();
});

afterAll(async () => {
  await rollcall.close();
  await endAll();
  rmSync(folder, { recursive: true });
});

const healthy = (service: string) => rollcall.service(service).instances.filter(({ state }) => state === 'HEALTHY');

const drainedText = (child: Child): string => child.out.find((line) => line.includes('Drained in')) ?? '';

/** Nest's own client: Rollcall's are not involved, as callers talk to the broker. */
function clientOf(broker: Broker, port: number): ClientProxy {
  return broker === 'redis'
    ? ClientProxyFactory.create({ transport: Transport.REDIS, options: { host: '127.0.0.1', port } })
    : ClientProxyFactory.create({ transport: Transport.MQTT, options: { url: `mqtt://127.0.0.1:${port}` } });
}

/** Requests and events through the broker, each of which every instance receives. */
function load(service: string, client: ClientProxy): { readonly loop: OpenLoop; readonly events: string[] } {
  const events: string[] = [];
  const ask = async (verb: Verb, id: string): Promise<string> => {
    if (verb === 'find') {
      const answer = client.send<{ instance: string }>(`${service}/find`, { id }).pipe(timeout({ each: LOST_MS }));
      return (await lastValueFrom(answer)).instance;
    }
    await lastValueFrom(client.emit(`${service}/notify`, { id }), { defaultValue: null });
    events.push(id);
    return 'nobody';
  };
  return { loop: new OpenLoop(service, ask, RATES), events };
}

for (const broker of BROKERS)
  if (programOf(broker) === null)
    console.warn(`skipped: an application over ${broker}, since its server is not installed`);

describe.each(variants(BROKERS, (broker) => broker, ['redis']))('an application over %s', (broker) => {
  const isInstalled = programOf(broker) !== null;

  it.skipIf(!isInstalled)(
    'opens a port for heartbeats alone, is HEALTHY both ways, and drained under load',
    async () => {
      const port = await startBroker(broker, folder);
      const common = { ROLLCALL_URL: url, SERVICE: broker, TOPIC: `${broker}/`, NOTES: notes, NO_COLOR: '1' };
      const env = { ...common, BROKER: broker, BROKER_PORT: String(port) };
      const children = [start('broker', [], env), start('broker', [], env), start('broker', [], env)] as const;
      await waitFor('all are HEALTHY', () => healthy(broker).length === children.length);
      const idOf = ({ pid }: Child): string =>
        healthy(broker).find(({ metadata }) => metadata['pid'] === String(pid))?.id ?? '';
      const leaving = [
        { child: children[0], id: idOf(children[0]), signal: 'SIGUSR2' },
        { child: children[1], id: idOf(children[1]), signal: 'SIGTERM' },
      ] as const;
      for (const { endpoints, reason } of healthy(broker)) {
        expect(endpoints).toMatchObject([{ protocol: 'heartbeat', host: '127.0.0.1', tls: false }]);
        expect(reason.code).toBe('BOTH_WAYS_OK');
      }
      await expect(rollcall.call(broker, 'find', {})).rejects.toMatchObject({ code: 'NO_ENDPOINT' });

      const client = clientOf(broker, port);
      await client.connect();
      const { loop, events } = load(broker, client);
      const waitForMoreCalls = (): Promise<unknown> => {
        const enough = loop.outcomes.length + CALLS_BEFORE_DRAIN;
        return waitFor('calls go on', () => loop.outcomes.length >= enough);
      };
      for (const { child, id, signal } of leaving) {
        await waitForMoreCalls();
        const before = [...events];
        child.kill(signal);
        await child.exited;
        const done = readFileSync(notes, 'utf8');
        expect(before.length).toBeGreaterThan(0);
        expect(before.filter((event) => !done.includes(`${id} notify ${event}\n`))).toEqual([]);
        expect(drainedText(child)).toMatch(
          new RegExp(`; [1-9]\\d* in flight \\(${broker} ${broker}/(find|notify) \\(for`),
        );
      }
      await waitForMoreCalls();
      await loop.stop();
      await client.close();
      expect(loop.outcomes.filter(({ failure }) => failure !== null)).toEqual([]);
      expect(healthy(broker)).toMatchObject([{ reason: { code: 'BOTH_WAYS_OK' } }]);
      children[2].kill('SIGKILL');
    },
  );
});
