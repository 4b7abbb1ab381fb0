import type { ServerResponse } from 'node:http';
import { systemTime } from '@rollcall/core';
import type { Frame, Problem, Time } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpRegistryClient } from './http.js';
import { createInstance, resetFrame, EPOCH, startHttpRegistry } from './registry-client.fixture.js';
import type { HttpRegistry } from './registry-client.fixture.js';
import type { Watch, WatchRequest, WatchSink } from './registry-client.js';

const proof = { id: 'orders-1', secret: 'a-secret-of-22-letters' };
const watchRequest: WatchRequest = { namespace: 'default', services: ['orders'], resume: [], cursor: null, line: null };

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function startRegistry(handle: Parameters<typeof startHttpRegistry>[0]): Promise<HttpRegistry> {
  const registry = await startHttpRegistry(handle);
  cleanups.push(() => registry.close());
  return registry;
}

function linkTo(url: string, time: Time = systemTime): HttpRegistryClient {
  const link = new HttpRegistryClient({ url, time });
  cleanups.push(() => link.close());
  return link;
}

/** A sink that records everything in a list that can be awaited. */
class Listener implements WatchSink {
  readonly received: (Frame | string)[] = [];
  problem: Problem | null = null;
  readonly #waiting: { readonly until: () => boolean; readonly resolve: () => void }[] = [];

  opened(): void {
    this.#note('opened');
  }
  frame(frame: Frame): void {
    this.#note(frame);
  }
  mark(cursor: { epoch: string; revision: number }): void {
    this.#note(`mark ${cursor.revision}`);
  }
  batch(deliver: () => void): void {
    deliver();
  }
  silent(): void {
    this.#note('silent');
  }
  closed(problem: Problem | null): void {
    this.problem = problem;
    this.#note('closed');
  }

  has(entry: string): boolean {
    return this.received.includes(entry);
  }

  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ until: condition, resolve }));
  }

  #note(entry: Frame | string): void {
    this.received.push(entry);
    for (const { until, resolve } of this.#waiting) if (until()) resolve();
  }
}

function watchWith(
  link: HttpRegistryClient,
  request = watchRequest,
): { readonly listener: Listener; readonly watch: Watch } {
  const listener = new Listener();
  return { listener, watch: link.watch(request, listener) };
}

const sse = (frame: Frame): string => `event: ${frame.event}\ndata: ${JSON.stringify(frame.data)}\n\n`;
const mark = (revision: number): string => `id: ${EPOCH}.${revision}\n\n`;

function openFeed(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
}

describe('HttpRegistryClient, the change feed', () => {
  it('requests services, resumes, and authenticates as a line', async () => {
    const registry = await startRegistry(openFeed);
    const cursor = { epoch: EPOCH, revision: 41 };
    const { listener } = watchWith(linkTo(registry.url), {
      namespace: 'shop',
      services: ['a', 'b'],
      resume: ['b'],
      cursor,
      line: proof,
    });
    await listener.until(() => listener.has('opened'));
    const [seen] = registry.requests;
    expect(seen?.url).toBe('/api/v1/watch?namespace=shop&service=a&service=b&resume=b&instance=orders-1');
    expect(seen?.headers).toMatchObject({
      accept: 'text/event-stream',
      'last-event-id': `${EPOCH}.41`,
      authorization: `Bearer ${proof.secret}`,
    });
  });

  it('delivers frames and marks in order, and ignores unknown events', async () => {
    const reset = resetFrame([createInstance({ metadata: { team: 'Käse 🧀' } })]);
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.write(`${sse(reset)}event: news\ndata: {}\n\n${mark(1)}: beat\nid: ${EPOCH}.2\n\n`);
    });
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('mark 2'));
    expect(listener.received).toEqual(['opened', reset, 'mark 1', 'mark 2']);
  });

  it('delivers the same if every byte arrives alone', async () => {
    const reset = resetFrame([createInstance({ metadata: { team: 'Käse 🧀' } })]);
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.socket?.setNoDelay(true);
      for (const byte of Buffer.from(sse(reset) + mark(1))) response.write(Uint8Array.of(byte));
    });
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('mark 1'));
    expect(listener.received).toEqual(['opened', reset, 'mark 1']);
  });

  it('delivers everything that arrived at once in one batch', async () => {
    const reset = resetFrame([createInstance()]);
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.write(sse(reset).repeat(3) + mark(1));
    });
    const listener = new Listener();
    const batch = (deliver: () => void): void => {
      const { length } = listener.received;
      deliver();
      sizes.push(listener.received.length - length);
    };
    const sizes: number[] = [];
    linkTo(registry.url).watch(watchRequest, Object.assign(listener, { batch }));
    await listener.until(() => listener.has('mark 1'));
    expect(listener.received).toEqual(['opened', reset, reset, reset, 'mark 1']);
    expect(sizes).toEqual([4]);
  });

  it('pauses after more than 10 ms of work for the same time, and then continues', async () => {
    const time = new ManualTime();
    let response: ServerResponse | undefined;
    const registry = await startRegistry((feed) => {
      openFeed(feed);
      response = feed;
    });
    const listener = new Listener();
    const batch = (deliver: () => void): void => {
      deliver();
      time.advance(8);
    };
    linkTo(registry.url, time).watch(watchRequest, Object.assign(listener, { batch }));
    await listener.until(() => listener.has('opened'));
    response?.write(mark(1));
    await listener.until(() => listener.has('mark 1'));
    response?.write(mark(2));
    await listener.until(() => listener.has('mark 2'));
    response?.write(mark(3));
    await new Promise((resolve) => setTimeout(resolve, 50));
    time.advance(15);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(listener.has('mark 3')).toBe(false);
    time.advance(1);
    await listener.until(() => listener.has('mark 3'));
  });

  it('does not pause after work that was followed by enough idle time', async () => {
    const time = new ManualTime();
    let response: ServerResponse | undefined;
    const registry = await startRegistry((feed) => {
      openFeed(feed);
      response = feed;
    });
    const listener = new Listener();
    const batch = (deliver: () => void): void => {
      deliver();
      time.advance(8);
    };
    linkTo(registry.url, time).watch(watchRequest, Object.assign(listener, { batch }));
    await listener.until(() => listener.has('opened'));
    for (let revision = 1; revision <= 10; revision += 1) {
      response?.write(mark(revision));
      await listener.until(() => listener.has(`mark ${revision}`));
      time.advance(8);
    }
  });

  it('ends, once, when the registry dies in the middle of a frame', async () => {
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.write(`${sse(resetFrame([createInstance()]))}event: change\ndata: {"na`, () =>
        response.socket?.resetAndDestroy(),
      );
    });
    const { listener, watch } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    watch.close();
    expect(listener.received.filter((entry) => entry === 'closed')).toHaveLength(1);
    expect(listener.problem).toBeNull();
  });

  it('ends when the registry ends the stream', async () => {
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.end(mark(1));
    });
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.received).toEqual(['opened', 'mark 1', 'closed']);
  });

  it('ends after 25 s without a byte, but not before', async () => {
    const time = new ManualTime();
    const feeds: ServerResponse[] = [];
    const registry = await startRegistry((response) => {
      feeds.push(response);
      openFeed(response);
    });
    const { listener } = watchWith(linkTo(registry.url, time));
    await listener.until(() => listener.has('opened'));
    time.advance(20_000);
    feeds[0]?.write(`: beat\n${mark(1)}`);
    await listener.until(() => listener.has('mark 1'));
    time.advance(24_999);
    expect(listener.has('silent')).toBe(false);
    time.advance(1);
    expect(listener.received.slice(-2)).toEqual(['silent', 'closed']);
    expect(time.pending().background).toBe(0);
  });

  it('abandons a watch that is not accepted in time', async () => {
    const time = new ManualTime();
    const registry = await startRegistry(() => {});
    const requested = new Promise((resolve) => registry.server.on('request', resolve));
    const { listener } = watchWith(linkTo(registry.url, time));
    await requested;
    time.advance(3_000);
    expect(listener.received).toEqual(['silent', 'closed']);
  });

  it('reports a refusal with its problem', async () => {
    const problem = { code: 'NOT_FOUND', detail: 'No such instance.', fix: 'Register.' };
    const registry = await startRegistry((response) => response.writeHead(404).end(JSON.stringify(problem)));
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.received).toEqual(['closed']);
    expect(listener.problem).toEqual(problem);
  });

  it('does not accept a web page as a feed', async () => {
    const registry = await startRegistry((response) => response.end('<html></html>'));
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.received).toEqual(['closed']);
    expect(listener.problem?.detail).toContain('no event stream');
  });

  it.each([
    ['no JSON', 'event: change\ndata: {"service":\n\n'],
    ['a frame with a wrong field', sse({ event: 'status', data: { settled: 'yes' as never } })],
  ])('ends at %s, and reports that', async (_name, garbage) => {
    const registry = await startRegistry((response) => {
      openFeed(response);
      response.write(garbage + mark(9));
    });
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.received).toEqual(['opened', 'closed']);
    expect(listener.problem?.detail).toContain('violates the protocol');
  });

  it('ends when the client closes it, and the registry notices', async () => {
    const registry = await startRegistry(openFeed);
    const { listener, watch } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('opened'));
    const noticed = new Promise((resolve) => registry.sockets[0]?.on('close', resolve));
    watch.close();
    watch.close();
    expect(listener.received).toEqual(['opened', 'closed']);
    await noticed;
  });

  it('ends with the client, even if it is opened after that', async () => {
    const registry = await startRegistry(openFeed);
    const link = linkTo(registry.url);
    const { listener } = watchWith(link);
    await link.close();
    expect(listener.received).toEqual(['closed']);
    const late = watchWith(link).listener;
    expect(late.received).toEqual([]);
    await late.until(() => late.has('closed'));
  });

  it('ends if no process listens', async () => {
    const registry = await startRegistry(() => {});
    await new Promise((resolve) => registry.server.close(resolve));
    const { listener } = watchWith(linkTo(registry.url));
    await listener.until(() => listener.has('closed'));
    expect(listener.received).toEqual(['closed']);
  });
});
