import type { Frame } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { problemOf } from '../registry-client/registry-client.fixture.js';
import { setUp, watching } from './feed.fixture.js';

const gone = (id: string): Frame => ({
  event: 'gone',
  data: { id, reason: { code: 'OPERATOR', text: 'removed by an operator' } },
});

describe('Feed, the line', () => {
  const proof = { id: 'orders-1', secret: 'secret' };

  it('carries the line, even if no service is watched', () => {
    const { feed, line, link, time } = setUp(1, new ManualTime());
    line.currentProof = proof;
    feed.refresh();
    time.advance(0);
    expect(link.stream.request).toMatchObject({ services: [], line: proof });
    link.stream.accept();
    expect(line.events).toEqual(['opened']);
    link.stream.send([gone('orders-1')]);
    link.stream.end();
    expect(line.events).toEqual(['opened', 'gone', 'ended']);
  });

  it('reports the removal of its own instance, once', () => {
    const { feed, line, link, time } = setUp(1, new ManualTime());
    line.currentProof = proof;
    feed.refresh();
    time.advance(0);
    link.stream.accept();
    link.stream.send([gone('orders-2')]);
    expect(line.events).toEqual(['opened']);
    link.stream.send([gone('orders-1')]);
    line.currentProof = null;
    link.stream.send([gone('orders-1'), gone('orders-1')]);
    line.currentProof = { ...proof };
    link.stream.send([gone('orders-1')]);
    expect(line.events).toEqual(['opened', 'gone']);
  });

  it('opens a new stream for another line, and does not report the end of the old one', () => {
    const { feed, line, link, time } = setUp(1, new ManualTime());
    line.currentProof = proof;
    feed.refresh();
    time.advance(0);
    link.stream.accept();
    line.currentProof = { ...proof };
    feed.refresh();
    time.advance(0);
    expect(link.streams).toHaveLength(2);
    link.stream.accept();
    expect(link.streams[0]?.isClosed).toBe(true);
    expect(line.events).toEqual(['opened', 'opened']);
  });

  it('continues without the line if the registry refuses it', () => {
    const { line, link, time, catalog, feed } = watching();
    line.currentProof = proof;
    feed.refresh();
    time.advance(0);
    link.stream.end(problemOf('NOT_FOUND'));
    expect(line.events).toEqual(['refused NOT_FOUND']);
    time.advance(100);
    // the first stream kept working
    expect(link.streams).toHaveLength(2);
    expect(link.streams[0]?.isClosed).toBe(false);
    expect(catalog.service('orders').stale).toBe(false);
  });

  it('closes its stream when no service and no line is left', () => {
    const { feed, line, link, time } = setUp(1, new ManualTime());
    line.currentProof = proof;
    feed.refresh();
    time.advance(0);
    link.stream.accept();
    line.currentProof = null;
    feed.refresh();
    time.advance(60_000);
    expect(link.streams).toHaveLength(1);
    expect(link.stream.isClosed).toBe(true);
  });
});
