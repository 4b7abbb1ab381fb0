import { describe, expect, it } from 'vitest';
import { codeOf, SECRET, value, World } from '../registry.fixture.js';

interface Claimed {
  readonly id: string;
  readonly port?: number;
  readonly by: { readonly address: string; readonly token?: string };
}

const claim = ({ registry }: World, { id, port = 3001, by }: Claimed): ReturnType<World['register']> =>
  registry.register(
    { id, service: 'orders', secret: SECRET, endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port }] },
    by,
  );

describe('an address that others claim for their own', () => {
  const terms = { allowedNetworks: ['10.0.0.0/8'] };
  const [EVIL, FRIEND] = [
    { address: '10.6.6.6', token: 'evil' },
    { address: '10.7.7.7', token: 'good' },
  ];

  it('is open all the same to who comes from it, with the same token or with none', async () => {
    for (const token of [{}, { token: 'shared' }]) {
      const world = await World.started(terms);
      const by = { address: '10.6.6.6', ...token };
      for (let i = 0; i < 32; i += 1) value(await claim(world, { id: `evil-${i}`, by }));
      expect(codeOf(await claim(world, { id: 'evil-32', by }))).toBe('TOO_MANY');
      for (let i = 0; i < 32; i += 1)
        value(await claim(world, { id: `own-${i}`, by: { address: '10.0.0.5', ...token } }));
      const many = claim(world, { id: 'own-32', by: { address: '10.0.0.5', ...token } });
      expect(codeOf(await many)).toBe('TOO_MANY');
    }
  });

  it('is open to who names it with another token, as is its host', async () => {
    const world = await World.started(terms);
    for (let i = 0; i < 32; i += 1) value(await claim(world, { id: `evil-${i}`, by: EVIL }));
    value(await claim(world, { id: 'good-0', by: FRIEND }));
    for (let i = 32; i < 1_000; i += 1) value(await claim(world, { id: `evil-${i}`, port: 3000 + i, by: EVIL }));
    expect(codeOf(await claim(world, { id: 'evil-1000', port: 80, by: EVIL }))).toBe('TOO_MANY');
    value(await claim(world, { id: 'good-1', port: 80, by: FRIEND }));
  });

  it('counts with the token that who claims it has now', async () => {
    const world = await World.started(terms);
    for (let i = 0; i < 32; i += 1) value(await claim(world, { id: `evil-${i}`, by: EVIL }));
    for (let i = 32; i < 1_000; i += 1) value(await claim(world, { id: `evil-${i}`, port: 3000 + i, by: EVIL }));
    const other = { ...EVIL, token: 'exchanged' };
    value(await claim(world, { id: 'evil-0', by: other }));
    value(await claim(world, { id: 'evil-1000', by: EVIL }));
    expect(codeOf(await claim(world, { id: 'evil-1001', port: 80, by: EVIL }))).toBe('TOO_MANY');
    value(await claim(world, { id: 'evil-1001', port: 80, by: other }));
    value(await world.registry.leave('evil-0', { secret: SECRET }));
    value(await world.registry.leave('evil-1000', { secret: SECRET }));
    value(await claim(world, { id: 'evil-1002', port: 81, by: EVIL }));
    expect(codeOf(await claim(world, { id: 'evil-1003', port: 82, by: EVIL }))).toBe('TOO_MANY');
  });
});
