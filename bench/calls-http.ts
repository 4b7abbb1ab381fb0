import { HttpService } from '@nestjs/axios';
import type { Rollcall } from '@rollcall/client';
import type { ServiceClient } from '@rollcall/nestjs';
import { firstValueFrom } from 'rxjs';
import { Agent, fetch as undiciFetch, request } from 'undici';
import { compare, compareAllocation } from './calls-loop.js';
import type { Call, Match } from './calls-loop.js';
import { start } from './child.js';
import type { Report } from './harness.js';

const PLAN = { concurrent: [1, 64, 128], rounds: 7, roundMs: 600 };

const TARGETS = { 'p50, 1 concurrent': '<= 1.1 x', 'throughput, 64 concurrent': '>= 0.9 x' };

const MATCHES: readonly Match[] = [
  { title: 'HTTP, fetch / undici.fetch, ', ours: 'fetch', theirs: 'undici.fetch', targets: TARGETS },
  { title: 'HTTP, fetch / HttpService, ', ours: 'fetch', theirs: 'HttpService', targets: {} },
  { title: 'HTTP, request / undici.request, ', ours: 'request', theirs: 'undici.request', targets: TARGETS },
  // the rest is our own cost: a deadline and a target travel with each call, and undici spends time on each header
  { title: 'HTTP, request / the same with headers, ', ours: 'request', theirs: 'the same with headers', targets: {} },
];

interface HttpTargets {
  /** The registry's URL. */
  readonly registry: string;
  /** A client of the service `web`. */
  readonly web: ServiceClient;
}

/** The same Nest application behind all of them, called by name and by address. */
export async function compareHttp({ registry, web }: HttpTargets, report: Report): Promise<void> {
  const service = await start('http-service', ['rollcall', registry, 'web']);
  const bare = await start('http-service', ['bare']);
  try {
    const { port } = JSON.parse(bare.readyMessage) as { port: number };
    await web.connect();
    const candidates = await candidatesOf(web, `http://127.0.0.1:${port}`);
    await compare(candidates, MATCHES, PLAN, report);
    await compareAllocation(candidates, MATCHES, report);
  } finally {
    await Promise.all([service.kill(), bare.kill()]);
  }
}

/** Ours call by name, the others by address. */
async function candidatesOf(web: ServiceClient, address: string): Promise<Readonly<Record<string, Call>>> {
  const dispatcher = await web.unwrap<Rollcall>().dispatcher();
  // `request` takes 6 µs more with an options object: all get one
  const agent = new Agent();
  const headers = ['rollcall-deadline-ms', '5000', 'rollcall-target', web.unwrap<Rollcall>().id];
  const axios = new HttpService();
  return {
    fetch: async (n) => (await web.fetch(`/find?n=${n}`)).json(),
    'undici.fetch': async (n) => (await undiciFetch(`${address}/find?n=${n}`)).json(),
    request: async (n) => (await request(`http://web/find?n=${n}`, { dispatcher })).body.json(),
    'undici.request': async (n) => (await request(`${address}/find?n=${n}`, { dispatcher: agent })).body.json(),
    'the same with headers': async (n) =>
      (await request(`${address}/find?n=${n}`, { dispatcher: agent, headers })).body.json(),
    HttpService: async (n) => (await firstValueFrom(axios.get<unknown>(`${address}/find?n=${n}`))).data,
  };
}
