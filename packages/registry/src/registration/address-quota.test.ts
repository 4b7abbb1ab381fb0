import { describe, expect, it } from 'vitest';
import { codeOf, SECRET, value, RegistryFixture } from '../registry.fixture.js';

interface Claimed {
  readonly id: string;
  readonly port?: number;
  readonly by: { readonly address: string; readonly token?: string };
}

const claim = (
  { registry }: RegistryFixture,
  { id, port = 3001, by }: Claimed,
): ReturnType<RegistryFixture['register']> =>
  registry.register(
    { id, service: 'orders', secret: SECRET, endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port }] },
    by,
  );

describe('an address that other hosts claim', () => {
  const terms = { allowedNetworks: ['10.0.0.0/8'] };
  const [FIRST, SECOND_PARTY] = [
    { address: '10.6.6.6', token: 'evil' },
    { address: '10.7.7.7', token: 'good' },
  ];

  it('is still open to its own host, with the same token or with none', async () => {
    for (const token of [{}, { token: 'shared' }]) {
      const fixture = await RegistryFixture.start(terms);
      const by = { address: '10.6.6.6', ...token };
      for (let i = 0; i < 32; i += 1) value(await claim(fixture, { id: `evil-${i}`, by }));
      expect(codeOf(await claim(fixture, { id: 'evil-32', by }))).toBe('TOO_MANY');
      for (let i = 0; i < 32; i += 1)
        value(await claim(fixture, { id: `own-${i}`, by: { address: '10.0.0.5', ...token } }));
      const many = claim(fixture, { id: 'own-32', by: { address: '10.0.0.5', ...token } });
      expect(codeOf(await many)).toBe('TOO_MANY');
    }
  });

  it('is open to a client with another token, as is its host', async () => {
    const fixture = await RegistryFixture.start(terms);
    for (let i = 0; i < 32; i += 1) value(await claim(fixture, { id: `evil-${i}`, by: FIRST }));
    value(await claim(fixture, { id: 'good-0', by: SECOND_PARTY }));
    for (let i = 32; i < 1_000; i += 1) value(await claim(fixture, { id: `evil-${i}`, port: 3000 + i, by: FIRST }));
    expect(codeOf(await claim(fixture, { id: 'evil-1000', port: 80, by: FIRST }))).toBe('TOO_MANY');
    value(await claim(fixture, { id: 'good-1', port: 80, by: SECOND_PARTY }));
  });

  it('counts for the current token of each claim', async () => {
    const fixture = await RegistryFixture.start(terms);
    for (let i = 0; i < 32; i += 1) value(await claim(fixture, { id: `evil-${i}`, by: FIRST }));
    for (let i = 32; i < 1_000; i += 1) value(await claim(fixture, { id: `evil-${i}`, port: 3000 + i, by: FIRST }));
    const other = { ...FIRST, token: 'exchanged' };
    value(await claim(fixture, { id: 'evil-0', by: other }));
    value(await claim(fixture, { id: 'evil-1000', by: FIRST }));
    expect(codeOf(await claim(fixture, { id: 'evil-1001', port: 80, by: FIRST }))).toBe('TOO_MANY');
    value(await claim(fixture, { id: 'evil-1001', port: 80, by: other }));
    value(await fixture.registry.leave('evil-0', { secret: SECRET }));
    value(await fixture.registry.leave('evil-1000', { secret: SECRET }));
    value(await claim(fixture, { id: 'evil-1002', port: 81, by: FIRST }));
    expect(codeOf(await claim(fixture, { id: 'evil-1003', port: 82, by: FIRST }))).toBe('TOO_MANY');
  });
});
