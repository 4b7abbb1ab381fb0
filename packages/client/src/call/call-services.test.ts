import { noMeter, parseOptions, silentLog } from '@rollcall/core';
import type { ServiceFrame } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Catalog, MAX_SERVICES } from '../discovery/catalog.js';
import { createInstance, resetFrame } from '../registry-client/registry-client.fixture.js';
import type { HttpRequest } from '../transport/http/message.js';
import { ScriptedTransport } from '../transport/scripted.fixture.js';
import type { TcpRequest } from '../transport/tcp/message.js';
import { Calls } from './calls.js';
import { callFields } from './policy/service-options.js';

function setUp() {
  const time = new ManualTime({ nowMs: 100_000 });
  const catalog = new Catalog({ time, log: silentLog, onServiceRequested: () => {}, isEjected: () => false });
  const calls = new Calls({
    time,
    random: seededRandom(1),
    meter: noMeter,
    log: silentLog,
    services: catalog,
    options: parseOptions(callFields, {}),
    transports: {
      tcp: new ScriptedTransport<TcpRequest>('tcp', time),
      http: new ScriptedTransport<HttpRequest>('http', time),
    },
    suspect: () => {},
  });
  const ask = async (service: string): Promise<unknown> => {
    const end = calls.call(service, 'find', {}).catch((error: unknown) => Reflect.get(Object(error), 'code'));
    await time.advanceBy(20);
    return end;
  };
  return { time, catalog, ask };
}

/** A service that appears, is called, and disappears. */
async function visit(
  { catalog, ask }: ReturnType<typeof setUp>,
  service: string,
  last: 'unknown' | 'known',
): Promise<void> {
  const instance = createInstance({ id: `${service}-1`, service });
  const called = ask(service);
  catalog.apply(resetFrame([instance]) as ServiceFrame);
  await called;
  const remove = [{ id: instance.id, revision: 2, reason: { code: 'GOODBYE' as const, text: 'left' } }];
  catalog.apply({ event: 'change', data: { namespace: 'default', service, upsert: [], remove } });
  if (last === 'unknown') catalog.apply({ event: 'unknown', data: { namespace: 'default', service } });
}

describe('services that appear and disappear', () => {
  it.each(['unknown', 'known'] as const)(
    'free their place for later services, if each is %s at its end',
    async (last) => {
      const world = setUp();
      for (let i = 0; i < MAX_SERVICES + 10; i += 1) {
        await visit(world, `preview-${i}`, last);
        await world.time.advanceBy(1_000);
      }
      const called = world.ask('orders');
      world.catalog.apply(resetFrame([createInstance()]) as ServiceFrame);
      expect(await called).toBe('orders-1');
      expect(world.catalog.services.length).toBeLessThanOrEqual(MAX_SERVICES);
    },
  );
});
