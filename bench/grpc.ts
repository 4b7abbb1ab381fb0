import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type { Client, ServiceError } from '@grpc/grpc-js';
import { Rollcall } from '@rollcall/client';
import type { GrpcMethod } from '@rollcall/client';
import { startTestRegistry } from '@rollcall/registry/testing';
import { compare, compareAllocation } from './calls-loop.js';
import type { Call, Match } from './calls-loop.js';
import { start } from './child.js';
import { ECHO_PROTO } from './grpc-proto.js';
import type { Bench, Report } from './harness.js';

const PLAN = { concurrent: [1, 64], rounds: 7, roundMs: 1_000 };

const MATCHES: readonly Match[] = [
  {
    title: 'rollcall.grpc, ',
    ours: 'rollcall',
    theirs: 'bare',
    targets: { 'throughput, 64 concurrent': '>= 1.2 x', 'p50, 1 concurrent': '<= 1.05 x' },
  },
  {
    title: 'grpc-js by name, ',
    ours: 'byName',
    theirs: 'bare',
    targets: { 'throughput, 64 concurrent': '>= 0.9 x', 'p50, 1 concurrent': '<= 1.1 x' },
  },
];

interface Question {
  readonly n: number;
}

type EchoClient = Client & {
  Find(question: Question, callback: (error: ServiceError | null, answer: unknown) => void): void;
};

/** A client as grpc-js generates it. */
function clientOf(url: string): EchoClient {
  const { bench } = loadPackageDefinition(ECHO_PROTO) as unknown as {
    bench: { Echo: new (url: string, security: ReturnType<typeof credentials.createInsecure>) => EchoClient };
  };
  return new bench.Echo(url, credentials.createInsecure());
}

function callOf(client: EchoClient): Call {
  return (n) =>
    new Promise((resolve, reject) => {
      client.Find({ n }, (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });
}

/** Nest's gRPC server does not report its port. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function run(report: Report): Promise<void> {
  const registry = await startTestRegistry({ intervalMs: 5_000 });
  const service = await start('grpc-service', ['rollcall', registry.url, 'echo']);
  const port = await freePort();
  const alone = await start('grpc-service', ['bare', String(port)]);
  const rollcall = new Rollcall({ registry: registry.url });
  await rollcall.registerGrpcResolver();
  await rollcall.ready('echo');
  const [byName, bare] = [clientOf('rollcall:///echo'), clientOf(`127.0.0.1:${port}`)];
  const find = (ECHO_PROTO['bench.Echo'] as unknown as { Find: GrpcMethod<Question> }).Find;
  const candidates = {
    rollcall: (n: number) => rollcall.grpc('echo', find, { n }),
    byName: callOf(byName),
    bare: callOf(bare),
  };
  try {
    await compare(candidates, MATCHES, PLAN, report);
    await compareAllocation(candidates, MATCHES, report);
  } finally {
    byName.close();
    bare.close();
    await rollcall.close();
    await Promise.all([service.kill(), alone.kill()]);
    await registry.close();
  }
}

export const grpc: Bench = {
  name: 'grpc',
  question: 'What does a gRPC call by name cost, our own and that of a grpc-js client, against grpc-js on one address?',
  run,
};
