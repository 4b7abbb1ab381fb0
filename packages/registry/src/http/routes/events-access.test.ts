import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PERMISSIONS } from '../../access/permissions.js';
import { GuardedRegistry } from '../access/authorization.fixture.js';

/** Every way to ask for events: each filter alone, both directions of paging, and all namespaces. */
const QUERIES = [
  '',
  'namespace=*',
  'namespace=shop',
  'namespace=*&service=orders',
  'namespace=*&instance=orders-1',
  'namespace=*&kind=registered',
  'namespace=*&state=REGISTERING',
  'namespace=*&from=0',
  'namespace=*&to=9000000000000',
  'namespace=*&before=1000',
  'namespace=*&after=0&limit=1000',
];

describe('access to events', () => {
  let registry: GuardedRegistry;
  let bearers: Record<'service' | 'foreign' | 'reader' | 'operator' | 'revoked', string>;

  beforeAll(async () => {
    registry = await GuardedRegistry.make();
    const service = await registry.token({ role: 'service', services: ['orders'] });
    const foreign = await registry.token({ role: 'service', services: ['shop/stock'] });
    const reader = await registry.token();
    const operator = await registry.token({ role: 'operator' });
    const revoked = await registry.token({}, 1);
    bearers = {
      service: service.text,
      foreign: foreign.text,
      reader: reader.text,
      operator: operator.text,
      revoked: revoked.text,
    };
    await registry.start();
    await registry.enrol(service.text);
  });
  afterAll(() => registry.close());

  it.each(QUERIES)('?%s requires a valid token', async (query) => {
    for (const bearer of [null, 'no-token-of-this-registry', bearers.revoked]) {
      const answer = await registry.ask(`/api/v1/events?${query}`, { bearer });
      expect(answer.status).toBe(401);
      expect(answer.text).not.toMatch(/orders|"events"|"seq"/);
    }
  });

  it.each(QUERIES)('?%s gives every role the same, as read access is not limited to namespaces', async (query) => {
    const { reader, ...others } = bearers;
    const wanted = await registry.ask(`/api/v1/events?${query}`, { bearer: reader });
    expect(wanted.status).toBe(200);
    for (const bearer of [others.service, others.foreign, others.operator]) {
      const answer = await registry.ask(`/api/v1/events?${query}`, { bearer });
      expect(answer.body).toEqual(wanted.body);
    }
  });

  it('reveals no token and no secret of an instance', async () => {
    for (const query of QUERIES) await registry.ask(`/api/v1/events?${query}`, { bearer: bearers.operator });
    const output = registry.texts.join('\n');
    expect(output).toContain('"seq"');
    // the first answers a registration: its own secret belongs there
    const read = registry.texts.filter((text) => text.includes('"events"')).join('\n');
    for (const secret of registry.secrets) expect(read).not.toContain(secret);
  });

  it('is one row of the permission table, for the three roles', () => {
    const rows = PERMISSIONS.filter(({ path }) => path.includes('/events'));
    expect(rows.map(({ method, path, who }) => [method, path, [...who].toSorted()])).toEqual([
      ['GET', '/api/v1/events', ['operator', 'reader', 'service']],
    ]);
  });
});
