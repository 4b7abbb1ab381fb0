import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Rollcall } from '@rollcall/client';
import type { RunningRegistry } from '@rollcall/registry';
import { startTestRegistry } from '@rollcall/registry/testing';
import { run } from './run.js';
import { createTestShell } from './terminal/shell.fixture.js';
import type { TestShell, TestTerminal } from './terminal/shell.fixture.js';

/** The result of a command. */
export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A service that really serves, over HTTP. */
export interface TestService {
  readonly id: string;
  /** Says goodbye. */
  close(): Promise<void>;
  /** Stops at once without a message. */
  kill(): Promise<void>;
}

/** A real registry in this process, with what a test puts into it. */
export class Testbed {
  readonly registry: RunningRegistry;
  readonly #services = new Set<TestService>();
  readonly #running: { readonly shell: TestShell; readonly code: Promise<number> }[] = [];

  private constructor(registry: RunningRegistry) {
    this.registry = registry;
  }

  static async start(options: Parameters<typeof startTestRegistry>[0] = {}): Promise<Testbed> {
    return new Testbed(await startTestRegistry(options));
  }

  get url(): string {
    return this.registry.url;
  }

  /** Runs a command line to its end. */
  async run(...argv: readonly string[]): Promise<CommandResult> {
    return this.runOnTerminal({}, ...argv);
  }

  /** The same on another terminal. */
  async runOnTerminal(terminal: TestTerminal, ...argv: readonly string[]): Promise<CommandResult> {
    const shell = createTestShell({ ROLLCALL_URL: this.url }, terminal);
    const code = await run(argv, shell);
    return { code, out: shell.outLines.join('\n'), err: shell.errLines.join('\n') };
  }

  /** Starts a command line that stays. It ends with the testbed, and its exit code must be 0. */
  runInBackground(argv: readonly string[], terminal: TestTerminal = {}): TestShell {
    const shell = createTestShell({ ROLLCALL_URL: this.url }, terminal);
    this.#running.push({ shell, code: run(argv, shell) });
    return shell;
  }

  /** Registers an instance at an address where no process answers. */
  async register(id: string, service: string, fields: object = {}): Promise<void> {
    const answer = await fetch(`${this.url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id, service, endpoints: [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }], ...fields }),
    });
    if (answer.status !== 201) throw new Error(await answer.text());
  }

  /** Starts a service and waits until the registry has it HEALTHY. */
  async startService(
    service: string,
    answer: (request: IncomingMessage, response: ServerResponse) => void,
    namespace = 'default',
  ): Promise<TestService> {
    const client = new Rollcall({ service, namespace, registry: this.url, heartbeatIntervalMs: 100 });
    const server = createServer((request, response) => {
      if (request.url === '/.well-known/rollcall/heartbeat-1') void beat(client, request, response);
      else answer(request, response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    client.register([{ protocol: 'http', host: '127.0.0.1', port }]);
    const isListed = (text: string): boolean => text.includes(`"id":"${client.id}"`) && isHealthy(text, client.id);
    await this.waitFor(service, isListed, namespace);
    const stop = (): void => {
      server.close();
      server.closeAllConnections();
    };
    const made: TestService = {
      id: client.id,
      close: async () => {
        this.#services.delete(made);
        await client.close();
        stop();
      },
      kill: async () => {
        this.#services.delete(made);
        stop();
        await client.close();
      },
    };
    this.#services.add(made);
    return made;
  }

  /** Resolves when the answer about a service is as wanted: requests it again after each change. */
  async waitFor(service: string, isReady: (text: string) => boolean, namespace = 'default'): Promise<void> {
    for (let revision = 0; ;) {
      const query = `namespace=${namespace}&revision=${revision}&waitMs=5000`;
      const answer = await fetch(`${this.url}/api/v1/services/${service}?${query}`);
      const text = await answer.text();
      if (answer.ok && isReady(text)) return;
      if (answer.ok) ({ revision } = JSON.parse(text) as { revision: number });
    }
  }

  async close(): Promise<void> {
    for (const { shell } of this.#running) shell.end();
    const codes = await Promise.all(this.#running.map(({ code }) => code));
    await Promise.all([...this.#services].map((service) => service.close()));
    await this.registry.close();
    if (codes.some((code) => code !== 0)) throw new Error(`commands that stayed ended with ${codes.join(', ')}`);
  }
}

function isHealthy(text: string, id: string): boolean {
  const { instances } = JSON.parse(text) as { instances: { id: string; state: string }[] };
  return instances.some((instance) => instance.id === id && instance.state === 'HEALTHY');
}

async function beat(client: Rollcall, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  const answer = client.answer(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
}
