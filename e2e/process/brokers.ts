import { accessSync, constants } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { freePort } from './free-port.js';
import { launch } from './launch.js';
import type { Child } from './launch.js';

/** The arguments that make each broker store nothing, and listen on loopback alone. */
const ARGS: Readonly<Record<Broker, (port: number) => readonly string[]>> = {
  redis: (port) => ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
  mqtt: (port) => ['-p', String(port)], // without a file it listens on loopback alone
};
const PROGRAMS: Readonly<Record<Broker, string>> = { redis: 'redis-server', mqtt: 'mosquitto' };
const TIMEOUT_MS = 10_000;

export const BROKERS = ['redis', 'mqtt'] as const;
export type Broker = (typeof BROKERS)[number];

/** The path of its program; null where it is not installed. */
export function programOf(broker: Broker): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, PROGRAMS[broker])).find(isProgram) ?? null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs it in a folder of the test; resolves with its port as soon as it accepts connections. */
export async function startBroker(broker: Broker, cwd: string): Promise<number> {
  const port = await freePort();
  const child = launch(programOf(broker) ?? PROGRAMS[broker], ARGS[broker](port), { cwd });
  const deadline = performance.now() + TIMEOUT_MS;
  while (!(await takesConnections(port))) {
    if (!child.isAlive || performance.now() > deadline)
      throw new Error(`${broker} does not serve:\n${outputOf(child)}`);
  }
  return port;
}

const outputOf = ({ out, err }: Child): string => [...out, ...err].join('\n');

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => setTimeout(resolve, 10, false));
  });
}
