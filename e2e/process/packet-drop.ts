import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** Drops all packets to a port of this machine: connections are neither made nor broken. */
export interface PacketDrop {
  end(): Promise<void>;
}

/**
 * As classic BPF, on a frame of the loopback device: TCP over IPv4 to `port` is dropped (2), everything else passes
 * (-1).
 */
const filterFor = (port: number): string =>
  `9,40 0 0 12,21 0 6 2048,48 0 0 23,21 0 4 6,177 0 0 14,72 0 0 16,21 0 1 ${port},6 0 0 2,6 0 0 4294967295`;

/** It ends when its standard input closes, so that no rule outlives a test that was killed. */
const SCRIPT = `
tc qdisc add dev lo clsact || exit 1
tc filter add dev lo ingress protocol all prio 1 bpf da bytecode "$1" && echo dropping && cat
tc qdisc del dev lo clsact
`;

/** Null where this user, or this system, cannot do that. Linux has no other way without root. */
export async function dropPackets(port: number): Promise<PacketDrop | null> {
  const child = spawn('sh', ['-c', SCRIPT, 'sh', filterFor(port)], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true, // a kill of the test's process group must not hit it, so that it cleans up
  });
  const over = once(child, 'close');
  const isDropping = await Promise.race([once(child.stdout, 'data').then(() => true), over.then(() => false)]);
  if (!isDropping) return null;
  return {
    end: async () => {
      child.stdin.end();
      await over;
    },
  };
}
