import type { Time } from '@rollcall/core';
import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { Contact } from '../registry-client/connection-status.js';
import { createInstance, resetFrame, FakeLine, FakeLink } from '../registry-client/registry-client.fixture.js';
import { Catalog } from './catalog.js';
import { Feed } from './feed.js';

export const orders = resetFrame([createInstance()]);

/** A started feed and the objects that it uses. */
export function setUp<Clock extends Time>(seed: number, time: Clock) {
  const log = recordingLog();
  const link = new FakeLink();
  const contact = new Contact(log, link.name);
  const line = new FakeLine();
  const catalog: Catalog = new Catalog({ time, log, onServiceRequested: () => feed.refresh(), isEjected: () => true });
  const feed: Feed = new Feed({
    time,
    random: seededRandom(seed),
    log,
    link,
    contact,
    catalog,
    namespace: 'shop',
    line,
    intervalMs: () => 5_000,
  });
  feed.start();
  return { time, log, link, contact, line, catalog, feed };
}

/** A feed that watches the known service `orders`. */
export function watching(seed = 1) {
  const world = setUp(seed, new ManualTime());
  world.catalog.service('orders');
  world.time.advance(0);
  world.link.stream.accept([orders], 5);
  return world;
}
