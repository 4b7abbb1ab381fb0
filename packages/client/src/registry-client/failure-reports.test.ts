import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Contact } from './connection-status.js';
import { FailureReports } from './failure-reports.js';
import { problemOf, FakeLink } from './registry-client.fixture.js';

function setUp() {
  const time = new ManualTime();
  const log = recordingLog();
  const link = new FakeLink();
  const contact = new Contact(log, link.name);
  const suspicions = new FailureReports({ time, log, link, contact, by: 'gateway-1' });
  return { time, log, link, contact, suspicions };
}

describe('FailureReports', () => {
  it('reports to the registry which caller saw which instance fail', () => {
    const { link, contact, suspicions } = setUp();
    contact.opened();
    suspicions.report('orders-1', 'refused');
    expect(link.suspicions).toEqual([{ id: 'orders-1', by: 'gateway-1', outcome: 'refused' }]);
  });

  it('keeps at most 16 reports in flight', async () => {
    const { link, contact, suspicions, time } = setUp();
    contact.opened();
    for (let i = 0; i < 100; i += 1) suspicions.report(`orders-${i}`, 'timeout');
    expect(link.suspicions).toHaveLength(16);
    await time.advanceBy(0);
    suspicions.report('orders-99', 'timeout');
    expect(link.suspicions).toHaveLength(17);
  });

  it('reports one instance at most once a second', async () => {
    const { link, contact, suspicions, time } = setUp();
    contact.opened();
    for (let i = 0; i < 25; i += 1) {
      suspicions.report('orders-1', 'refused');
      await time.advanceBy(100);
    }
    expect(link.suspicions).toHaveLength(3);
  });

  it('drops reports without a registry', () => {
    const { link, suspicions } = setUp();
    suspicions.report('orders-1', 'refused');
    expect(link.suspicions).toEqual([]);
  });

  it('tolerates a refusal and a lost registry', async () => {
    const { link, contact, suspicions, log, time } = setUp();
    contact.opened();
    link.suspect = async () => ({ ok: false, problem: problemOf('NOT_FOUND') });
    suspicions.report('orders-1', 'refused');
    link.suspect = async () => Promise.reject(new Error('gone'));
    suspicions.report('orders-2', 'refused');
    await time.advanceBy(0);
    expect(log.texts('debug')).toHaveLength(2);
    expect(log.texts('warn')).toEqual([]);
  });
});
