import { describe, expect, it, onTestFinished } from 'vitest';
import { startTestRegistry } from '../../testing.js';

const JSON_TYPE = { 'content-type': 'application/json' };
const OPERATOR = { ...JSON_TYPE, 'x-rollcall-operator': '1' };

interface Listed {
  readonly services: readonly { readonly callable: number; readonly admin: Readonly<Record<string, number>> }[];
}

describe('a service that an operator drained', () => {
  it('has no callable instances in the list of services and in the metrics', async () => {
    const registry = await startTestRegistry();
    onTestFinished(() => registry.close());
    const { url } = registry;
    for (const id of ['a-1', 'a-2']) {
      const body = JSON.stringify({ id, service: 'a', endpoints: [{ protocol: 'tcp', port: 1 }] });
      expect((await fetch(`${url}/api/v1/register`, { method: 'POST', headers: JSON_TYPE, body })).status).toBe(201);
    }
    const list = async (): Promise<Listed['services']> =>
      ((await (await fetch(`${url}/api/v1/services`)).json()) as Listed).services;
    expect(await list()).toMatchObject([
      { name: 'a', instances: 2, callable: 2, admin: { ENABLED: 2, DRAINING: 0, MAINTENANCE: 0 } },
    ]);
    for (const [id, admin] of [
      ['a-1', 'DRAINING'],
      ['a-2', 'MAINTENANCE'],
    ]) {
      const body = JSON.stringify({ admin });
      expect((await fetch(`${url}/api/v1/instances/${id}`, { method: 'PATCH', headers: OPERATOR, body })).status).toBe(
        200,
      );
    }
    expect(await list()).toMatchObject([
      { name: 'a', instances: 2, callable: 0, admin: { ENABLED: 0, DRAINING: 1, MAINTENANCE: 1 } },
    ]);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const labels = 'namespace="default",service="a"';
    expect(metrics).toContain(`\nrollcall_registry_callable_instances{${labels}} 0\n`);
    expect(metrics).toContain(`\nrollcall_registry_admin_instances{${labels},admin="DRAINING"} 1\n`);
    expect(metrics).toContain(`\nrollcall_registry_admin_instances{${labels},admin="ENABLED"} 0\n`);
  });
});
